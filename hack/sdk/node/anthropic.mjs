// Anthropic's library against models at every maker's API.
import assert from 'node:assert/strict';
import Anthropic, { APIUserAbortError, AuthenticationError, RateLimitError } from '@anthropic-ai/sdk';
import { betaZodTool } from '@anthropic-ai/sdk/helpers/beta/zod';
import { zodOutputFormat } from '@anthropic-ai/sdk/helpers/zod';
import { z } from 'zod';
import { apiKey, fresh, left, maker, parameters, root, run, slow } from './lib.mjs';

const client = new Anthropic({ baseURL: root, apiKey, maxRetries: 0 });
const patient = new Anthropic({ baseURL: root, apiKey, maxRetries: 2 });
const ask = (model, content, more = {}) => ({ model, max_tokens: 4000, messages: [{ role: 'user', content }], ...more });
const weather = { name: 'get_weather', input_schema: parameters };
const thinking = (model) =>
  maker(model) === 'claude' ? { type: 'adaptive', display: 'summarized' } : { type: 'enabled', budget_tokens: 1024 };
const City = z.object({ city: z.string(), people: z.number(), coast: z.boolean() });

// textOf is all text of a message.
const textOf = (message) => message.content.filter((b) => b.type === 'text').map((b) => b.text).join('');

// results answers all calls of a message.
const results = (message, content) => ({
  role: 'user',
  content: message.content.filter((b) => b.type === 'tool_use').map((b) => ({ type: 'tool_result', tool_use_id: b.id, content })),
});

const checks = {
  async chat(model) {
    const { data: answer, request_id } = await client.messages.create(ask(model, 'mock:text=hello there')).withResponse();
    assert.match(request_id, /^req_/);
    assert.equal(textOf(answer), 'hello there');
    assert.equal(answer.stop_reason, 'end_turn');
    assert.equal(answer.role, 'assistant');
    assert.ok(answer.model.length > 0);
    assert.ok(answer.usage.input_tokens > 0 && answer.usage.output_tokens > 0);
  },
  async usage(model) {
    const answer = await client.messages.create(ask(model, 'mock:usage=100/50/20'));
    assert.equal(answer.usage.input_tokens, 80);
    assert.equal(answer.usage.cache_read_input_tokens, 20);
    assert.equal(answer.usage.output_tokens, 50);
  },
  async stream(model) {
    const stream = client.messages.stream(ask(model, 'mock:text=one two three'));
    let pieces = 0;
    stream.on('text', () => pieces++);
    const answer = await stream.finalMessage();
    assert.equal(textOf(answer), 'one two three');
    assert.equal(answer.stop_reason, 'end_turn');
    assert.ok(pieces > 1, `${pieces} pieces`);
    assert.ok(answer.usage.output_tokens > 0);
  },
  async tools(model) {
    for (const script of ['mock:tool', 'mock:tools=2']) {
      for (const streamed of [false, true]) {
        const body = ask(model, script, { tools: [weather] });
        const first = streamed ? await client.messages.stream(body).finalMessage() : await client.messages.create(body);
        assert.equal(first.stop_reason, 'tool_use');
        for (const b of first.content) if (b.type === 'tool_use') assert.deepEqual(b.input, { city: 'mock' });
        body.messages.push({ role: 'assistant', content: first.content }, results(first, 'sunny'));
        const second = await client.messages.create(body);
        assert.equal(textOf(second), script === 'mock:tool' ? 'You said: sunny' : 'You said: sunny sunny');
      }
    }
  },
  async 'no arguments'(model) {
    const body = ask(model, 'mock:tool', { tools: [{ name: 'now', input_schema: { type: 'object', properties: {} } }] });
    const answer = await client.messages.stream(body).finalMessage();
    const calls = answer.content.filter((b) => b.type === 'tool_use');
    assert.deepEqual(calls.map((b) => [b.name, b.input]), [['now', {}]]);
  },
  async 'tool runner'(model) {
    const asked = [];
    const tool = betaZodTool({
      name: 'get_weather', description: 'the weather', inputSchema: z.object({ city: z.string() }), run: (input) => (asked.push(input), 'sunny'),
    });
    const answer = await client.beta.messages.toolRunner(ask(model, 'mock:tool', { tools: [tool] }));
    assert.equal(textOf(answer), 'You said: sunny');
    assert.deepEqual(asked, [{ city: 'mock' }]);
  },
  async parse(model) {
    const answer = await client.messages.parse(ask(model, 'hi', { output_config: { format: zodOutputFormat(City) } }));
    assert.deepEqual(answer.parsed_output, { city: 'mock', people: 1, coast: true });
  },
  async thoughts(model) {
    for (const streamed of [false, true]) {
      const body = ask(model, 'mock:think,tool', { tools: [weather], thinking: thinking(model) });
      const first = streamed ? await client.messages.stream(body).finalMessage() : await client.messages.create(body);
      assert.equal(first.content[0].type, 'thinking');
      assert.equal(first.content.at(-1).type, 'tool_use');
      body.messages.push({ role: 'assistant', content: first.content }, results(first, 'mock:thoughts'));
      const second = await client.messages.create(body);
      assert.equal(textOf(second), '1 thoughts');
    }
  },
  async 'redacted thoughts'(model) {
    if (!['anthropic', 'claude'].includes(maker(model))) return 'not for it';
    const body = ask(model, 'mock:redacted,tool', { tools: [weather], thinking: thinking(model) });
    const first = await client.messages.stream(body).finalMessage();
    assert.equal(first.content[0].type, 'redacted_thinking');
    body.messages.push({ role: 'assistant', content: first.content }, results(first, 'mock:thoughts'));
    assert.equal(textOf(await client.messages.create(body)), '1 thoughts');
  },
  async 'count tokens'(model) {
    const count = await client.messages.countTokens({ model, messages: [{ role: 'user', content: 'How many?' }] });
    assert.ok(count.input_tokens > 0);
  },
  async models(model) {
    const ids = [];
    for await (const m of client.models.list()) ids.push(m.id);
    assert.ok(ids.includes(model), `${model} is not in ${ids}`);
  },
  async abort(model) {
    const prompt = slow();
    const stream = client.messages.stream(ask(model, prompt));
    stream.once('text', () => stream.abort());
    await assert.rejects(stream.finalMessage(), APIUserAbortError);
    await left(model, prompt);
  },
  async busy(model) {
    const body = ask(model, fresh('status=429,fails=1000'));
    await assert.rejects(client.messages.create(body), (e) => e instanceof RateLimitError && e.error.error.type === 'rate_limit_error');
  },
  async retry(model) {
    const answer = await patient.messages.create(ask(model, fresh('text=at last,status=429,fails=4')));
    assert.equal(textOf(answer), 'at last');
  },
  async 'error in a stream'(model) {
    await assert.rejects(client.messages.stream(ask(model, 'mock:text=a b c d,error=mid')).finalMessage(), Anthropic.APIError);
  },
  async 'invalid key'(model) {
    const other = new Anthropic({ baseURL: root, apiKey: 'not-a-key', maxRetries: 0 });
    await assert.rejects(other.messages.create(ask(model, 'hi')), (e) => e instanceof AuthenticationError && e.error.error.type === 'authentication_error');
  },
};

await run(checks);
