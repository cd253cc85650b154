// The AI SDK with its OpenAI-compatible, OpenAI (Responses and chat) and Anthropic providers against models at every maker's API.
import assert from 'node:assert/strict';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, generateText, Output, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';
import { apiKey, baseURL, fresh, left, maker, run, slow } from './lib.mjs';

globalThis.AI_SDK_LOG_WARNINGS = false;

const compatible = createOpenAICompatible({ name: 'layers', baseURL, apiKey, includeUsage: true, supportsStructuredOutputs: true });
const openai = createOpenAI({ baseURL, apiKey });
const anthropic = createAnthropic({ baseURL, apiKey });

// providers are how a model is spoken to, and what makes it think.
const providers = {
  compatible: { language: (m) => compatible(m), think: () => ({ layers: { reasoningEffort: 'low' } }) },
  responses: {
    language: (m) => openai.responses(m),
    think: () => ({ openai: { reasoningEffort: 'low', reasoningSummary: 'auto', store: false, include: ['reasoning.encrypted_content'], forceReasoning: true } }),
  },
  chat: { language: (m) => openai.chat(m), think: () => ({ openai: { reasoningEffort: 'low', forceReasoning: true } }) },
  anthropic: {
    language: (m) => anthropic(m),
    think: (m) => ({ anthropic: { thinking: maker(m) === 'claude' ? { type: 'adaptive', display: 'summarized' } : { type: 'enabled', budgetTokens: 1024 } } }),
  },
};

const weather = (result, asked = []) =>
  tool({ description: 'the weather', inputSchema: z.object({ city: z.string() }), execute: (input) => (asked.push(input), result) });
const City = z.object({ city: z.string(), people: z.number(), coast: z.boolean() });

// kept is how many thoughts a second turn brings back.
const kept = (how, model) => {
  if (maker(model) !== 'openai') return '1 thoughts';
  return how === 'compatible' || how === 'chat' ? '0 thoughts' : '1 thoughts';
};

const checks = {};
for (const [how, { language, think }] of Object.entries(providers)) {
  Object.assign(checks, {
    async [`${how} chat`](model) {
      const answer = await generateText({ model: language(model), prompt: 'mock:text=hello there', maxRetries: 0 });
      assert.equal(answer.text, 'hello there');
      assert.equal(answer.finishReason, 'stop');
      assert.ok(answer.usage.inputTokens > 0 && answer.usage.outputTokens > 0, JSON.stringify(answer.usage));
    },
    async [`${how} stream`](model) {
      const stream = streamText({ model: language(model), prompt: 'mock:text=one two three', maxRetries: 0 });
      let text = '';
      for await (const piece of stream.textStream) text += piece;
      assert.equal(text, 'one two three');
      assert.equal(await stream.finishReason, 'stop');
      assert.ok((await stream.usage).outputTokens > 0);
    },
    async [`${how} tools`](model) {
      for (const [script, want] of [['mock:tool', 'You said: sunny'], ['mock:tools=2', 'You said: sunny sunny']]) {
        const asked = [];
        const call = { model: language(model), prompt: script, tools: { get_weather: weather('sunny', asked) }, stopWhen: stepCountIs(3), maxRetries: 0 };
        assert.equal((await generateText(call)).text, want);
        const stream = streamText(call);
        await stream.consumeStream();
        assert.equal(await stream.text, want);
        assert.ok(asked.length >= 2 && asked.every((a) => a.city === 'mock'), JSON.stringify(asked));
      }
    },
    async [`${how} parse`](model) {
      const answer = await generateText({ model: language(model), prompt: 'hi', output: Output.object({ schema: City }), maxRetries: 0 });
      assert.deepEqual(answer.output, { city: 'mock', people: 1, coast: true });
    },
    async [`${how} thoughts`](model) {
      const call = {
        model: language(model), prompt: 'mock:think,tool', tools: { get_weather: weather('mock:thoughts') },
        stopWhen: stepCountIs(3), maxRetries: 0, providerOptions: think(model),
      };
      assert.equal((await generateText(call)).text, kept(how, model), 'whole');
      const stream = streamText(call);
      await stream.consumeStream();
      assert.equal(await stream.text, kept(how, model), 'streamed');
    },
    async [`${how} abort`](model) {
      const prompt = slow();
      const controller = new AbortController();
      const stream = streamText({ model: language(model), prompt, maxRetries: 0, abortSignal: controller.signal, onError: () => {} });
      for await (const _ of stream.textStream) controller.abort();
      await left(model, prompt);
    },
    async [`${how} retry`](model) {
      const prompt = fresh('text=at last,status=429,fails=4');
      assert.equal((await generateText({ model: language(model), prompt, maxRetries: 2 })).text, 'at last');
    },
    async [`${how} busy`](model) {
      const prompt = fresh('status=429,fails=1000');
      await assert.rejects(generateText({ model: language(model), prompt, maxRetries: 0 }), (e) => APICallError.isInstance(e) && e.statusCode === 429 && e.isRetryable);
    },
  });
}

// Unless it is told not to store, the provider refers to thoughts by their ids: OpenAI has them, the others go on without.
checks['responses stored'] = async (model) => {
  const call = {
    model: openai.responses(model), prompt: 'mock:think,tool', tools: { get_weather: weather('mock:thoughts') },
    stopWhen: stepCountIs(3), maxRetries: 0, providerOptions: { openai: { reasoningEffort: 'low', reasoningSummary: 'auto', forceReasoning: true } },
  };
  assert.equal((await generateText(call)).text, maker(model) === 'openai' ? '1 thoughts' : '0 thoughts');
};

await run(checks);
