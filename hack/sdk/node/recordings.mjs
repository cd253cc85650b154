// Every library is shown what the providers answered on record.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import Anthropic from '@anthropic-ai/sdk';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, streamText } from 'ai';
import OpenAI from 'openai';
import { apiKey, baseURL, root } from './lib.mjs';

globalThis.AI_SDK_LOG_WARNINGS = false;

const openai = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const anthropic = new Anthropic({ baseURL: root, apiKey, maxRetries: 0 });
const ai = {
  compatible: createOpenAICompatible({ name: 'layers', baseURL, apiKey, includeUsage: true }),
  chat: createOpenAI({ baseURL, apiKey }).chat,
  responses: createOpenAI({ baseURL, apiKey }).responses,
  anthropic: createAnthropic({ baseURL, apiKey }),
};

// Each client answers what it sees: a text, or the refusal that some show as one, and calls.
const clients = {
  async 'openai chat'({ model, stream, prompt }) {
    const body = { model, messages: [{ role: 'user', content: prompt }] };
    const answer = stream ? await openai.chat.completions.stream(body).finalChatCompletion() : await openai.chat.completions.create(body);
    const { content, refusal, tool_calls } = answer.choices[0].message;
    return { text: content || refusal || '', calls: (tool_calls ?? []).map((c) => ({ name: c.function.name, input: JSON.parse(c.function.arguments) })) };
  },
  async 'openai responses'({ model, stream, prompt }) {
    const body = { model, input: prompt };
    const answer = stream ? await openai.responses.stream(body).finalResponse() : await openai.responses.create(body);
    const calls = answer.output.filter((o) => o.type === 'function_call');
    const refusal = answer.output.flatMap((o) => o.content ?? []).find((c) => c.type === 'refusal')?.refusal;
    return { text: answer.output_text || refusal || '', calls: calls.map((c) => ({ name: c.name, input: JSON.parse(c.arguments) })) };
  },
  async anthropic({ model, stream, prompt }) {
    const body = { model, max_tokens: 8000, messages: [{ role: 'user', content: prompt }] };
    const answer = stream ? await anthropic.messages.stream(body).finalMessage() : await anthropic.messages.create(body);
    const of = (type) => answer.content.filter((b) => b.type === type);
    return { text: of('text').map((b) => b.text).join(''), calls: of('tool_use').map((b) => ({ name: b.name, input: b.input })) };
  },
};
for (const [name, language] of Object.entries(ai)) {
  clients[`ai ${name}`] = async ({ model, stream, prompt }) => {
    let failed;
    const call = { model: language(model), prompt, maxRetries: 0, onError: ({ error }) => (failed = error) };
    const answer = stream ? streamText(call) : await generateText(call);
    if (stream) await answer.consumeStream();
    if (failed) throw failed;
    return { text: await answer.text, calls: (await answer.toolCalls).filter((c) => !c.providerExecuted).map((c) => ({ name: c.toolName, input: c.input })) };
  };
}

for (const one of JSON.parse(readFileSync(process.env.LAYERS_CASES))) {
  for (const [name, client] of Object.entries(clients)) {
    try {
      const got = await client({ ...one, prompt: `case:${one.id}` });
      assert.deepEqual(got, { text: one.text, calls: one.calls });
      console.log(`ok ${one.id} ${name}`);
    } catch (e) {
      if (/not recorded/.test(e.message ?? '')) continue; // the gateway asks the provider by another of its APIs
      console.log(`failed ${one.id} ${name}: ${String(e.message).replaceAll(/\s+/g, " ").slice(0, 700)}`);
    }
  }
}
