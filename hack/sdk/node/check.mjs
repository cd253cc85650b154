// The official Node SDK, unmodified, against a gateway: prints "ok NAME" for each check and ends with 1 at the first that fails.
import assert from 'node:assert/strict';
import OpenAI, { AuthenticationError, BadRequestError } from 'openai';

const { LAYERS_BASE_URL: baseURL, LAYERS_KEY: apiKey, LAYERS_MODEL: model, LAYERS_TOOL_PROMPT: toolPrompt } = process.env;
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const messages = [{ role: 'user', content: 'Say hello.' }];
const tools = [
  {
    type: 'function',
    function: { name: 'get_weather', parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] } },
  },
];

const checks = {
  async models() {
    const ids = [];
    for await (const m of client.models.list()) ids.push(m.id);
    assert.ok(ids.includes(model), `${model} is not in ${ids}`);
    assert.equal((await client.models.retrieve(model)).id, model);
  },
  async chat() {
    const answer = await client.chat.completions.create({ model, messages });
    assert.ok(answer.choices[0].message.content.length > 0);
    assert.equal(answer.choices[0].finish_reason, 'stop');
    assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
    assert.ok(answer._request_id, 'no request id');
  },
  async stream() {
    const stream = await client.chat.completions.create({ model, messages, stream: true, stream_options: { include_usage: true } });
    let text = '';
    let last;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta?.content ?? '';
      last = chunk;
    }
    assert.ok(text.length > 0);
    assert.equal(last.choices.length, 0);
    assert.ok(last.usage.completion_tokens > 0);
  },
  async 'stream without usage'() {
    const stream = await client.chat.completions.create({ model, messages, stream: true });
    for await (const chunk of stream) {
      assert.ok(!chunk.usage, 'usage that nobody asked for');
      assert.equal(chunk.choices.length, 1);
    }
  },
  async tools() {
    const answer = await client.chat.completions.create({ model, messages: [{ role: 'user', content: toolPrompt }], tools });
    const call = answer.choices[0].message.tool_calls[0];
    assert.equal(call.function.name, 'get_weather');
    assert.equal(typeof JSON.parse(call.function.arguments), 'object');
    assert.equal(answer.choices[0].finish_reason, 'tool_calls');
  },
  async 'invalid key'() {
    const other = new OpenAI({ baseURL, apiKey: 'not-a-key', maxRetries: 0 });
    await assert.rejects(other.chat.completions.create({ model, messages }), (e) => {
      assert.ok(e instanceof AuthenticationError);
      assert.equal(e.status, 401);
      assert.match(e.message, /Invalid API key/);
      return true;
    });
  },
  async 'malformed body'() {
    const request = client.post('/chat/completions', { body: '{"model":', headers: { 'content-type': 'application/json' } });
    await assert.rejects(request, (e) => {
      assert.ok(e instanceof BadRequestError, String(e));
      assert.equal(e.status, 400);
      assert.equal(e.type, 'invalid_request_error');
      return true;
    });
  },
};

for (const [name, check] of Object.entries(checks)) {
  await check();
  console.log(`ok ${name}`);
}
