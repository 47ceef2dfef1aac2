/** Names that kernels may not use: Dawn knows each, and everything that a shader written here uses is among them. */
import { describe, expect, it } from 'vitest';
import { KernelBuilder } from '../../../compiler/kernel/builder.ts';
import { KEYWORDS, MATRIX_WORDS, PREDECLARED, RESERVED, RESERVED_WORDS } from '../../../compiler/kernel/reserved.ts';
import { SPECIAL_NUMBERS } from '../../../compiler/ops/index.ts';
import * as helpers from '../../../compiler/ops/wgsl-helpers.ts';
import { shaderCheck } from '../../helpers/shader-check.ts';

/** What Dawn says of each shader that is made of a word. */
async function saidOf(words: readonly string[], shader: (word: string) => string): Promise<Map<string, string>> {
  const check = await shaderCheck(['subgroups', 'shader-f16', 'chromium-experimental-subgroup-matrix']);
  const said = new Map<string, string>();
  for (const word of words) said.set(word, (await check(shader(word))).join('\n'));
  return said;
}

const those = (said: ReadonlyMap<string, string>, isSo: (message: string) => boolean): string[] =>
  [...said].filter(([, message]) => isSo(message)).map(([word]) => word);

const ENABLED = 'enable f16;\nenable subgroups;\nenable chromium_experimental_subgroup_matrix;\n';

describe('to Dawn', () => {
  it('keywords and reserved words are no names', async () => {
    const said = await saidOf([...KEYWORDS, ...RESERVED_WORDS], (word) => `fn f() { let ${word} = 1u; }`);
    // The specification reserves it; Dawn lets it pass.
    expect(those(said, (message) => !message)).toEqual(['partial']);
  });

  it('predeclared names are there without a declaration', async () => {
    const said = await saidOf(
      [...PREDECLARED, ...MATRIX_WORDS, 'nowhere'],
      (word) => `${ENABLED}fn f() { _ = ${word}; }`,
    );
    expect(those(said, (message) => message.includes('unresolved'))).toEqual(['nowhere']);
  });
});

describe('a name of a kernel', () => {
  it.each(['max', 'bitcast', 'vec2f', 'mat4x4h', 'textureLoad', 'subgroupElect', 'rgba8unorm', 'philox', 'target'])(
    'is not %s',
    (word) => {
      expect(new KernelBuilder().fresh(word)).toBe(`${word}_1`);
    },
  );

  it('is none that helpers of ops declare or call', () => {
    const text = [SPECIAL_NUMBERS, ...Object.values(helpers)].filter((part) => typeof part === 'string').join('\n');
    const declared = [...text.matchAll(/(?:fn|var<private>) (\w+)/g)].map(([, name]) => name);
    const called = [...text.matchAll(/(\w+)(?:<\w+>)?\(/g)].map(([, name]) => name);
    expect(declared.length).toBeGreaterThan(20);
    expect([...declared, ...called].filter((name) => !RESERVED.has(name))).toEqual([]);
  });
});
