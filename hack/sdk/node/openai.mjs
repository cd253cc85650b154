// OpenAI's library against models at every maker's API: chat completions, Responses and embeddings.
import assert from 'node:assert/strict';
import OpenAI, { APIUserAbortError, RateLimitError } from 'openai';
import { zodResponseFormat, zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { apiKey, baseURL, fresh, left, maker, models, parameters, run, slow } from './lib.mjs';

const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const patient = new OpenAI({ baseURL, apiKey, maxRetries: 2 });
const user = (content) => [{ role: 'user', content }];
const weather = { type: 'function', function: { name: 'get_weather', parameters } };
const weatherItem = { type: 'function', name: 'get_weather', parameters, strict: true };
const City = z.object({ city: z.string(), people: z.number(), coast: z.boolean() });

// runner is the tool as the library's own loop takes it.
const runner = (asked) => ({
  type: 'function',
  function: { name: 'get_weather', parameters, parse: JSON.parse, function: (args) => (asked.push(args), 'sunny') },
});

const checks = {
  async chat(model) {
    const answer = await client.chat.completions.create({ model, messages: user('mock:text=hello there') });
    assert.equal(answer.choices[0].message.content, 'hello there');
    assert.equal(answer.choices[0].finish_reason, 'stop');
    assert.ok(answer.model.length > 0);
    assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
    assert.ok(answer._request_id);
  },
  async usage(model) {
    const answer = await client.chat.completions.create({ model, messages: user('mock:usage=100/50/20/0/0/30') });
    assert.equal(answer.usage.prompt_tokens, 100);
    assert.equal(answer.usage.completion_tokens, 50);
    assert.equal(answer.usage.prompt_tokens_details.cached_tokens, 20);
    assert.equal(answer.usage.completion_tokens_details.reasoning_tokens, 30);
  },
  async stream(model) {
    const stream = client.chat.completions.stream({ model, messages: user('mock:text=one two three'), stream_options: { include_usage: true } });
    let chunks = 0;
    stream.on('content', () => chunks++);
    const answer = await stream.finalChatCompletion();
    assert.equal(answer.choices[0].message.content, 'one two three');
    assert.equal(answer.choices[0].finish_reason, 'stop');
    assert.ok(chunks > 1, `${chunks} chunks`);
    assert.ok((await stream.totalUsage()).completion_tokens > 0);
  },
  async tools(model) {
    const asked = [];
    const loop = client.chat.completions.runTools({ model, messages: user('mock:tool'), tools: [runner(asked)] });
    assert.equal(await loop.finalContent(), 'You said: sunny');
    assert.deepEqual(asked, [{ city: 'mock' }]);
  },
  async 'tools streamed'(model) {
    const asked = [];
    const loop = client.chat.completions.runTools({ model, messages: user('mock:tools=2'), tools: [runner(asked)], stream: true });
    assert.equal(await loop.finalContent(), 'You said: sunny sunny');
    assert.deepEqual(asked, [{ city: 'mock' }, { city: 'mock' }]);
  },
  async parse(model) {
    const answer = await client.chat.completions.parse({ model, messages: user('hi'), response_format: zodResponseFormat(City, 'city') });
    assert.deepEqual(answer.choices[0].message.parsed, { city: 'mock', people: 1, coast: true });
  },
  async thoughts(model) {
    const messages = user('mock:think,tool');
    const first = await client.chat.completions.create({ model, messages, tools: [weather], reasoning_effort: 'low' });
    const { message } = first.choices[0];
    if (maker(model) !== 'gemini') assert.equal(message.reasoning_content, 'Let me see what the prompt asks for.');
    messages.push(message, { role: 'tool', tool_call_id: message.tool_calls[0].id, content: 'mock:thoughts' });
    const second = await client.chat.completions.create({ model, messages, tools: [weather], reasoning_effort: 'low' });
    assert.equal(second.choices[0].message.content, maker(model) === 'openai' ? '0 thoughts' : '1 thoughts');
  },
  // A client that keeps only what OpenAI's chat completions have still can go on.
  async 'thoughts lost'(model) {
    const messages = user('mock:think,tool');
    const first = await client.chat.completions.create({ model, messages, tools: [weather], reasoning_effort: 'low' });
    const { role, content, tool_calls } = first.choices[0].message;
    const calls = tool_calls.map(({ id, type, function: { name, arguments: args } }) => ({ id, type, function: { name, arguments: args } }));
    messages.push({ role, content, tool_calls: calls }, { role: 'tool', tool_call_id: calls[0].id, content: 'mock:text=done' });
    const second = await client.chat.completions.create({ model, messages, tools: [weather], reasoning_effort: 'low' });
    assert.equal(second.choices[0].message.content, 'done');
  },
  async 'thoughts streamed'(model) {
    const messages = user('mock:think,tool');
    const stream = client.chat.completions.stream({ model, messages, tools: [weather], reasoning_effort: 'low' });
    const { message } = (await stream.finalChatCompletion()).choices[0];
    messages.push(message, { role: 'tool', tool_call_id: message.tool_calls[0].id, content: 'mock:text=done' });
    const second = await client.chat.completions.create({ model, messages, tools: [weather], reasoning_effort: 'low' });
    assert.equal(second.choices[0].message.content, 'done');
  },
  async abort(model) {
    const prompt = slow();
    const stream = await client.chat.completions.create({ model, messages: user(prompt), stream: true });
    let chunks = 0;
    for await (const _ of stream) if (++chunks === 3) stream.controller.abort();
    await left(model, prompt);
  },
  async 'abort before'(model) {
    const prompt = fresh('delay=2s');
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 300);
    await assert.rejects(client.chat.completions.create({ model, messages: user(prompt) }, { signal: controller.signal }), APIUserAbortError);
  },
  async 'busy'(model) {
    const messages = user(fresh('status=429,fails=1000'));
    await assert.rejects(client.chat.completions.create({ model, messages }), (e) => e instanceof RateLimitError && e.status === 429);
  },
  async retry(model) {
    const answer = await patient.chat.completions.create({ model, messages: user(fresh('text=at last,status=429,fails=4')) });
    assert.equal(answer.choices[0].message.content, 'at last');
  },
  async 'error in a stream'(model) {
    const stream = await client.chat.completions.create({ model, messages: user('mock:text=a b c d,error=mid'), stream: true });
    await assert.rejects(async () => {
      for await (const _ of stream);
    }, OpenAI.APIError);
  },
  async responses(model) {
    const answer = await client.responses.create({ model, input: 'mock:text=hello there' });
    assert.equal(answer.output_text, 'hello there');
    assert.equal(answer.status, 'completed');
    assert.equal(answer.usage.total_tokens, answer.usage.input_tokens + answer.usage.output_tokens);
  },
  async 'responses stream'(model) {
    const stream = client.responses.stream({ model, input: 'mock:text=one two three' });
    let deltas = 0;
    stream.on('response.output_text.delta', () => deltas++);
    const answer = await stream.finalResponse();
    assert.equal(answer.output_text, 'one two three');
    assert.ok(deltas > 1);
  },
  async 'responses tools'(model) {
    for (const script of ['mock:tool', 'mock:tools=2']) {
      const input = user(script);
      const first = await client.responses.create({ model, input, tools: [weatherItem], store: false });
      input.push(...first.output);
      for (const call of first.output.filter((o) => o.type === 'function_call')) {
        assert.deepEqual(JSON.parse(call.arguments), { city: 'mock' });
        input.push({ type: 'function_call_output', call_id: call.call_id, output: 'sunny' });
      }
      const second = await client.responses.create({ model, input, tools: [weatherItem], store: false });
      assert.equal(second.output_text, script === 'mock:tool' ? 'You said: sunny' : 'You said: sunny sunny');
    }
  },
  async 'responses parse'(model) {
    const answer = await client.responses.parse({ model, input: 'hi', text: { format: zodTextFormat(City, 'city') } });
    assert.deepEqual(answer.output_parsed, { city: 'mock', people: 1, coast: true });
  },
  async 'responses thoughts'(model) {
    const more = { model, tools: [weatherItem], store: false, reasoning: { effort: 'low', summary: 'auto' }, include: ['reasoning.encrypted_content'] };
    for (const stream of [false, true]) {
      const input = user('mock:think,tool');
      const first = stream ? await client.responses.stream({ ...more, input }).finalResponse() : await client.responses.create({ ...more, input });
      assert.equal(first.output[0].type, 'reasoning');
      input.push(...first.output);
      const call = first.output.find((o) => o.type === 'function_call');
      input.push({ type: 'function_call_output', call_id: call.call_id, output: 'mock:thoughts' });
      const second = await client.responses.create({ ...more, input });
      assert.equal(second.output_text, '1 thoughts');
    }
  },
  async 'responses abort'(model) {
    const prompt = slow();
    const stream = await client.responses.create({ model, input: prompt, stream: true });
    for await (const e of stream) if (e.type === 'response.output_text.delta') stream.controller.abort();
    await left(model, prompt);
  },
  async 'responses retry'(model) {
    const answer = await patient.responses.create({ model, input: fresh('text=at last,status=429,fails=4') });
    assert.equal(answer.output_text, 'at last');
  },
  async 'a word after results'(model) {
    const messages = user('mock:tools=2');
    const { message } = (await client.chat.completions.create({ model, messages, tools: [weather] })).choices[0];
    messages.push(message, ...message.tool_calls.map(({ id }) => ({ role: 'tool', tool_call_id: id, content: '{"result":42}' })));
    messages.push({ role: 'user', content: 'mock:text=42' });
    const second = await client.chat.completions.create({ model, messages, tools: [weather], parallel_tool_calls: false, max_tokens: 64 });
    assert.equal(second.choices[0].message.content, '42');
  },
  async 'responses custom tool'(model) {
    const tools = [{ type: 'custom', name: 'code_exec', description: 'Runs code' }];
    const input = user('mock:tool');
    const first = await client.responses.create({ model, input, tools, tool_choice: 'required', store: false });
    const call = first.output.find((o) => o.type === 'custom_tool_call');
    assert.equal(call.input, 'mock');
    input.push(...first.output, { type: 'custom_tool_call_output', call_id: call.call_id, output: 'mock:text=done' });
    const second = await client.responses.stream({ model, input, tools, store: false }).finalResponse();
    assert.equal(second.output_text, 'done');
  },
  async 'wrong types'(model) {
    await assert.rejects(client.chat.completions.create({ model, messages: 1 }), (e) => e.status === 400 && e.message.length > 0);
    await assert.rejects(client.responses.create({ model, input: 1 }), (e) => e.status === 400 && e.message.length > 0);
  },
  async embeddings(model) {
    if (maker(model) !== 'openai') return 'not for it';
    const answer = await client.embeddings.create({ model: 'example/embed', input: ['a', 'b'] });
    assert.equal(answer.data.length, 2);
    assert.equal(answer.data[0].embedding.length, 8);
    assert.ok(answer.data[0].embedding.every((x) => Math.abs(x) <= 1));
  },
};

await run(checks, models);
