/**
 * `ditc inspect --why-not`: the scheduler's own reasons, in its own words, for what is written here as small models.
 * @once
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { ditc, SMALL_DIT } from './cli.ts';

const folder = scratchFolder();

const model = (body: string) => `import { defineModel, cos, layerNorm, sin, softmax } from 'ditc/dsl';
export default defineModel({ config: {}, entries: { forward(e) {
  const p = e.params;
${body}
} } });
`;

/** A device on which kernels bind eight buffers, and products stage tiles. */
const PORTABLE = 'portable';

async function whyNot(body: string, a: string, b: string, device = PORTABLE): Promise<string> {
  const cwd = folder({ 'my.ts': model(body) });
  const { code, out, err } = await ditc(['inspect', 'my.ts', '--device', device, '--why-not', a, b], cwd);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  return out.replace(/\s+/g, ' ');
}

const NORMED = `
  const x = e.input('x', [64, 64]);
  const normed = layerNorm(x);
  const out = p.linear('fc', normed, 64);
`;

const SUMMED = Array.from({ length: 12 }, (_, i) => `.add(e.input('p${i}', [16, 16]))`).join('');

describe('reasons', () => {
  it.each<[string, string, string, string, RegExp]>([
    [
      'two products',
      `const x = e.input('x', [16, 16]);
       const hidden = p.linear('a', x, 16);
       return { out: p.linear('b', hidden, 16) };`,
      'a',
      'out',
      /fuse-epilogues: linear at my\.ts:\d+:\d+ is a contraction \(matmul\): a kernel has one anchor/,
    ],
    [
      'readers that meet beyond another anchor',
      `const x = e.input('x', [16, 16]);
       const h = p.linear('h', x, 16);
       const y = h.add(p.linear('b', h, 16));
       return { y };`,
      'h',
      'y',
      /its 2 readers meet in y, and before that linear at my\.ts:\d+:\d+ is a contraction/,
    ],
    [
      'a result of the graph',
      `const x = e.input('x', [16, 16]);
       const h = p.linear('h', x, 16);
       const y = h.permute(1, 0).exp();
       return { h, y };`,
      'h',
      'y',
      /fuse-epilogues: h is a result of the graph/,
    ],
    [
      'readers that never meet',
      `const x = e.input('x', [16, 16]);
       const h = sin(p.linear('a', x, 16).exp());
       return { y: h.sum([0]), z: p.linear('b', h, 16) };`,
      'h',
      'reduce_sum',
      /fuse-epilogues: no later value depends on all readers of h/,
    ],
    [
      'other rows',
      `const x = e.input('x', [16, 16]);
       const weights = softmax(x);
       const total = weights.sum([0]);
       return { total };`,
      'weights',
      'total',
      /reduces \[16,16\], which are not this kernel's rows/,
    ],
    [
      'a view between',
      `const x = e.input('x', [16, 16]);
       const h = p.linear('h', x, 16);
       const y = h.add(h.permute(1, 0));
       return { y };`,
      'h',
      'y',
      /is a view \(permute\): what a kernel computes is viewed only as a whole/,
    ],
    [
      'the binding limit',
      `const x = e.input('x', [16, 16]);
       const h = p.linear('h', x, 16);
       const y = h${SUMMED};
       return { y };`,
      'h',
      'y',
      /binding limit: with add at my\.ts:\d+:\d+ the kernel binds 9 buffers of 8/,
    ],
    [
      'storing that is cheaper than computing anew',
      `const x = e.input('x', [512, 512]);
       const big = sin(cos(x.exp()).exp()).exp();
       return { out: p.linear('fc', big, 2048) };`,
      'big',
      'out',
      /materialize: big \(262,144 elements\) is read [\d,]+ times: computing it anew costs [\d,]+ operations, storing it [\d,]+/,
    ],
    [
      'rows that the product reads once more',
      `${NORMED} return { out: out.add(normed) };`,
      'normed',
      'out',
      /fuse-row-statistics: the rows keep their own kernel: .* reads them once more, at other places/,
    ],
    [
      'siblings',
      `const x = e.input('x', [16, 16]);
       const a = p.linear('a', x, 16);
       const b = p.linear('b', sin(x.exp()), 16);
       return { y: a.matmul(b) };`,
      'a',
      'b',
      /neither of a and b is computed from the other: each has a kernel of its own/,
    ],
    [
      'a rule whose condition fails',
      `const q = e.input('q', [1, 8, 8]);
       const k = e.input('k', [1, 8, 8]);
       const v = e.input('v', [1, 8, 8]);
       const scores = q.matmul(k.transpose());
       const weights = softmax(scores);
       const out = weights.matmul(v);
       return { out, weights };`,
      'weights',
      'out',
      /rule online_attention did not fire: only_use\(.*\) fails: weights is a result of the graph/,
    ],
  ])('%s', async (_, body, a, b, reason) => {
    expect(await whyNot(body, a, b)).toMatch(reason);
  });

  it('a layer norm has its own kernel where products stage nothing', async () => {
    const apart = await whyNot(`${NORMED} return { out };`, 'layer_norm', 'out', 'lavapipe');
    expect(apart).toMatch(
      /fuse-row-statistics: the rows keep their own kernel: lavapipe computes products by subgroups/,
    );
    for (const returned of ['out', 'out, other: normed.exp()']) {
      const together = await whyNot(`${NORMED} return { ${returned} };`, 'layer_norm', 'out');
      expect(together).toMatch(/are in one kernel: fc/);
    }
  });

  it('a weight too large to merge', async () => {
    const body = `
      const x = e.input('x', [1, 1024]);
      return { a: p.linear('a', x, 20480), b: p.linear('b', x, 20480) };`;
    expect(await whyNot(body, 'a', 'b')).toMatch(
      /rule merge_linears did not fire: fits_binding\(%w\*\) fails: .* take 167772160 bytes, a binding of the device 134217728/,
    );
  });

  it('a value that a rule does without', async () => {
    const { code, out } = await ditc(['inspect', 'models/digits.ts', '--why-not', 'weights', 'qkv']);
    expect(code).toBe(0);
    expect(out).toMatch(/^weights is not computed: rule online_attention does without it/);
    expect(out).toMatch(/softmax\(s·[^]*\)·V[^]*is computed by v_attention/);
  });
});

describe('names', () => {
  it('of the folder and of the model file answer alike, and as JSON', async () => {
    const cwd = folder({ 'small.ts': SMALL_DIT });
    expect(await ditc(['build', 'small.ts', '--out', 'built'], cwd)).toMatchObject({ code: 0 });
    const ask = (path: string, ...more: string[]) =>
      ditc(['inspect', path, '--why-not', 'qkv', 'fc1_gelu', ...more], cwd);
    const [built, fresh] = [await ask('built'), await ask('small.ts')];
    expect(built).toMatchObject({ code: 0, err: '' });
    expect(fresh.out).toBe(built.out);
    const { answer, entry } = JSON.parse((await ask('built', '--json')).out);
    expect(entry).toBe('forward');
    expect(answer).toMatchObject({
      kind: 'apart',
      a: { value: '%qkv' },
      path: [{ reasons: [{ by: 'fuse-epilogues' }] }, {}, {}],
    });
  });

  it('that are ambiguous, unknown or too few are wrong use', async () => {
    const cwd = folder({
      'my.ts': model(`const x = e.input('x', [4]);\nlet y = x.exp();\ny = y.sum([0]);\nreturn { y };`),
    });
    const ask = (...names: string[]) => ditc(['inspect', 'my.ts', '--why-not', ...names], cwd);
    const twice = await ask('y', 'x');
    expect(twice).toMatchObject({ code: 2, out: '' });
    expect(twice.err).toMatch(
      /several values are called y\n {3}y:5 +my\.ts:5 +in y\n {3}y:6 +my\.ts:6 .*\n {3}fix: say which, as y:5 or y:6/,
    );
    expect(await ask('y:5', 'y:6')).toMatchObject({ code: 0 });
    const unknown = await ask('reduce_sun', 'x');
    expect(unknown).toMatchObject({ code: 2, out: '' });
    expect(unknown.err).toMatch(/nothing is called reduce_sun\n {3}fix: did you mean reduce_sum\?/);
    expect((await ask('y')).err).toMatch(/--why-not takes two names, not 1/);
  });

  it('of what is in memory say so', async () => {
    expect(await whyNot(`${NORMED} return { out };`, 'fc.weight', 'out')).toMatch(
      /fc\.weight is computed by no kernel .* in memory, read by kernel fc/,
    );
  });

  it('fail on a folder without remarks, or with broken ones', async () => {
    const cwd = folder({ 'small.ts': SMALL_DIT });
    await ditc(['build', 'small.ts', '--out', 'built'], cwd);
    const path = join(cwd, 'built/remarks.json');
    const ask = () => ditc(['inspect', 'built', '--why-not', 'qkv', 'out'], cwd);
    expect(JSON.parse(readFileSync(path, 'utf8')).format).toBe(1);
    writeFileSync(path, '{');
    expect(await ask()).toMatchObject({ code: 1, out: '' });
    expect((await ask()).err).toMatch(
      /remarks.json — the file is not as ditc build wrote it: it was changed or damaged since\n.*\n {3}fix: build the model again/,
    );
  });
});
