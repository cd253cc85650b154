// What the checks of all libraries share.
import assert from 'node:assert/strict';

export const { LAYERS_BASE_URL: baseURL, LAYERS_KEY: apiKey, LAYERS_PROVIDER: provider } = process.env;
export const models = (process.env.LAYERS_MODELS ?? '').split(' ').filter(Boolean);
export const root = baseURL.replace(/\/v1$/, '');

export const parameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false };

// maker is whose API a model speaks to.
export const maker = (model) => model.split('/')[1];

let unique = 0;
// fresh makes a script that no other check has used.
export const fresh = (script) => `${Date.now()}-${process.pid}-${++unique} mock:${script}`;

// served waits until the provider has a request with this prompt on record.
export async function served(prompt) {
  for (let i = 0; i < 200; i++) {
    const all = await (await fetch(`${provider}/mock/served`)).json();
    const found = all.filter((s) => s.prompt === prompt);
    if (found.length > 0) return found;
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error(`the provider has not served ${prompt}`);
}

// slow is a stream that takes some seconds if nobody ends it.
export const slow = () => fresh('text=one two three four five six seven eight nine ten,interval=200ms');

// left checks what becomes of a stream whose client has gone: it is ended, or read to its end where the provider bills it.
export async function left(model, prompt) {
  const [request] = await served(prompt);
  assert.equal(request.complete, maker(model) === 'gemini', `complete: ${request.complete}`);
}

// run runs each check, for all models at once, and says in order which have passed; all run, so that one failure does not
// hide another.
export async function run(checks, names = models) {
  for (const [name, check] of Object.entries(checks)) {
    const outcomes = await Promise.allSettled(names.map((model) => check(model)));
    outcomes.forEach(({ value, reason }, i) => {
      if (value === 'not for it') return;
      console.log(`${reason ? 'failed' : 'ok'} ${name} ${maker(names[i])}`);
      if (!reason) return;
      process.exitCode = 1;
      console.error(name, names[i], reason);
    });
  }
}
