/** Processes of the fuzzer that end, that compute for ever and that only wait are told apart from those that answer. */
import { fork } from 'node:child_process';
import { writeFileSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ask } from './ask.ts';

it.each([
  ['answers', 'process.send(question.n + 1)', 8],
  ['ends', 'process.exit(1)', 'crashed'],
  ['computes for ever', 'for (;;);', 'hung'],
  ['waits for ever', 'setInterval(() => {}, 1000)', 'hung'],
] as const)('one that %s', async (_what, body, result) => {
  const script = join(mkdtempSync(join(tmpdir(), 'ditc-ask-')), 'child.mjs');
  writeFileSync(script, `process.on('message', (question) => { ${body} });`);
  const child = fork(script);
  try {
    expect(await ask(child, { n: 7 }, { computing: 1, waiting: body.startsWith('for') ? 60 : 2 })).toBe(result);
  } finally {
    child.kill('SIGKILL');
  }
});
