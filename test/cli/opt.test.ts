/**
 * `ditc opt`: passes on graphs as text.
 * @once
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { rebuild } from '../../compiler/ir/index.ts';
import { opTable } from '../../compiler/ops/index.ts';
import type { GraphPass, ModelPass } from '../../compiler/rewrite/pass.ts';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { BIN, ditc, SMALL_DIT, spawnDitc, TINY } from './cli.ts';

const folder = scratchFolder();

const TWO = `graph @f(%x: f32[2,3]) {
  %a = reshape %x {shape = [3, 2]} : f32[3,2]
  %b = reshape %a {shape = [6]} : f32[6]  @ my.ts:3:4
  return b = %b
}

graph @g(%x: f32[4]) {
  %y = exp %x : f32[4]
  return y = %y
}
`;

describe('opt', () => {
  it('runs the passes of the list, or the pipeline, and prints text that it reads again', async () => {
    const cwd = folder({ 'two.ir': TWO });
    const none = await ditc(['opt', 'two.ir', '--passes', 'none'], cwd);
    expect(none).toEqual({ code: 0, out: TWO, err: '' });
    const { out } = await ditc(['opt', 'two.ir', '--verify'], cwd);
    expect(out).toContain('%b = reshape %x {shape = [6]} : f32[6]  @ my.ts:3:4');
    expect(await ditc(['opt', 'two.ir', '--entry', 'g'], cwd)).toMatchObject({
      out: TWO.slice(TWO.indexOf('graph @g')),
    });
    writeFileSync(join(cwd, 'again.ir'), out);
    expect((await ditc(['opt', 'again.ir'], cwd)).out).toBe(out);
  });

  it('makes of a traced model what build makes of it', async () => {
    const cwd = folder({ 'tiny.ts': TINY, 'dit.ts': SMALL_DIT });
    for (const model of ['tiny.ts', 'dit.ts']) {
      const traced = await ditc(['build', model, '--print-ir=trace'], cwd);
      const built = await ditc(['build', model, '--print-ir', '--out', 'again'], cwd);
      writeFileSync(join(cwd, 'traced.ir'), traced.out);
      const { out, err } = await ditc(['opt', 'traced.ir'], cwd);
      expect(err).toBe('');
      expect(out).toBe(built.out);
    }
  });

  it('reads what build prints of what shares a kernel, and goes on from there', async () => {
    const cwd = folder({ 'dit.ts': SMALL_DIT });
    const printed = async (pass: string) =>
      (await ditc(['build', 'dit.ts', `--print-ir=${pass}`, '--out', 'printed'], cwd)).out;
    const early = await printed('fuse-row-sums');
    expect(early).toMatch(/^fusion @forward \{\n {2}contraction %/m);
    writeFileSync(join(cwd, 'early.ir'), early);
    const { out, err } = await ditc(['opt', 'early.ir', '--passes', 'fuse-siblings,share-rows,prune', '--verify'], cwd);
    expect(err).toBe('');
    expect(out).toBe(await printed('prune'));
  });

  it('reads a pipe', async () => {
    const cwd = folder({ 'tiny.ts': TINY });
    const shell = `node ${BIN} build tiny.ts --print-ir=trace 2>/dev/null | node ${BIN} opt - --passes simplify --entry count`;
    const out = execFileSync('sh', ['-c', shell], { cwd, encoding: 'utf8' });
    expect(out).toMatch(/^graph @count\(\) \{\n/);
  });

  it('does what the first lines of the file say, unless options do', async () => {
    const cwd = folder({ 'two.ir': `// RUN: ditc opt %s --passes simplify --entry f\n// about it\n${TWO}` });
    const { out } = await ditc(['opt', 'two.ir'], cwd);
    expect(out).toContain('%b = reshape %x');
    expect(out).not.toContain('@g');
    expect((await ditc(['opt', 'two.ir', '--passes', 'none'], cwd)).out).toBe(TWO);
  });

  it('writes a file, or JSON', async () => {
    const cwd = folder({ 'two.ir': TWO });
    expect(await ditc(['opt', 'two.ir', '--passes', 'none', '--out', 'o.ir'], cwd)).toEqual({
      code: 0,
      out: '',
      err: '',
    });
    expect(readFileSync(join(cwd, 'o.ir'), 'utf8')).toBe(TWO);
    const { out } = await ditc(['opt', 'two.ir', '--passes', 'none', '--json'], cwd);
    expect(JSON.parse(out)).toEqual({ text: TWO });
  });

  it('lists the passes, and the rules with their equations', async () => {
    const { out } = await ditc(['opt', '--list']);
    expect(out).toMatch(/^The pipeline, in order:\n {2}hoist +what a loop[^]*\n {2}simplify +canonical form/);
    expect(out).toContain('softmax(s·t∘(Q·Kᵀ) + B + C)·V');
    const groups = JSON.parse((await ditc(['opt', '--list', '--json'])).out);
    expect(groups[1].passes.map(({ name }: { name: string }) => name)).toContain('fuse-epilogues');
    expect(groups[2].passes.map(({ name }: { name: string }) => name)).toContain('online_attention');
  });

  it.each([
    [['two.ir', '--passes', 'recognize'], 2, 'there is no pass recognize\n   fix: did you mean recognise?'],
    [['two.ir', '--passes', 'simplify,'], 2, '--passes: a name is empty'],
    [['two.ir', '--passes', ''], 2, '--passes is empty\n   fix: give --passes a value, or leave it out'],
    [['two.ir', '--emit', 'spirv'], 2, '--emit is spirv\n   fix: use ir or regions or memory or wgsl'],
    [['two.ir', '--device', '{"name": 3}'], 1, '--device — it is not a device'],
    [['two.ir', '--entry', 'h'], 1, 'there is no entry h\n   fix: choose one of f, g'],
    [['missing.ir'], 1, 'missing.ir — cannot read the graphs'],
    [['.'], 1, 'it is a folder (EISDIR)'],
    [['two.ir', '--out', 'no/o.ir'], 1, 'there is no folder no'],
    [['run.ir'], 2, 'run.ir:1 — its RUN line is wrong\n   error: unknown option'],
    [['empty.ir'], 1, 'empty.ir:1:1 — syntax error'],
    [[], 2, 'no file is given'],
  ])('%j fails with %i', async (args, code, message) => {
    const cwd = folder({ 'two.ir': TWO, 'run.ir': `// RUN: ditc opt %s --pases simplify\n${TWO}`, 'empty.ir': '' });
    const result = await ditc(['opt', ...args], cwd);
    expect(result).toMatchObject({ code, out: '' });
    expect(result.err).toContain(message);
  });
});

/** A pass with a bug: it fails where the graph has an exp. */
const fragile: GraphPass = {
  name: 'fragile',
  doc: 'fails at an exp',
  run: (graph) =>
    rebuild(graph, opTable, (node) => {
      if (node.op === 'exp') throw new TypeError('exp is not supported yet');
      return undefined;
    }),
};
/** A pass that breaks the graph: the verifier sees it. */
const careless: GraphPass = {
  name: 'careless',
  doc: 'returns the first output twice',
  run: (graph) => ({ ...graph, outputs: [graph.outputs[0], graph.outputs[0]] }),
};

/** A pass over all graphs with a bug. */
const lonely: ModelPass = {
  name: 'lonely',
  doc: 'fails where there are two',
  of: 'model',
  run([graph, other]) {
    if (other) throw new TypeError(`${other.name} is one too many`);
    return [graph];
  },
};

describe('a failing pass', () => {
  const passes = [fragile, careless, lonely];
  beforeEach(() => void vi.stubEnv('TMPDIR', folder({ keep: '' })));
  afterEach(() => void vi.unstubAllEnvs());

  it('leaves a reproducer that opt takes as it is, and that fails in the same way', async () => {
    const cwd = folder({ 'two.ir': TWO });
    const first = await ditc(['opt', 'two.ir', '--passes', 'simplify,fragile,settle'], cwd, { passes });
    expect(first.code).toBe(1);
    expect(first.err).toContain('the pass fragile failed\n   TypeError: exp is not supported yet\n   reproducer: ');
    const path = /reproducer: (\S+) — ditc opt \1\n/.exec(first.err)![1];
    const text = readFileSync(path, 'utf8');
    expect(text).toMatch(
      /^\/\/ RUN: ditc opt %s --passes fragile --device '\{"name":"portable",.*\}'\n\/\/ the pass fragile/,
    );
    expect(text).toContain('graph @g(%x: f32[4])');
    const again = await ditc(['opt', path], cwd, { passes });
    expect(again.err).toContain('the pass fragile failed\n   TypeError: exp is not supported yet\n');
    // It is its own reproducer: no other file is written.
    expect(again.err).not.toContain('reproducer:');
    expect(again.err).toContain(`the bug in ditc that ${path} was written for`);
    // Mended, the pass runs.
    const mended = [{ ...fragile, run: rebuilt }];
    expect(await ditc(['opt', path], cwd, { passes: mended })).toMatchObject({ code: 0, err: '' });
  });

  it('holds the graph before the pass that broke it, with its places', async () => {
    const cwd = folder({ 'two.ir': TWO });
    const args = ['opt', 'two.ir', '--passes', 'simplify,careless', '--verify', '--device', 'lavapipe'];
    const { err } = await ditc(args, cwd, { passes });
    expect(err).toMatch(/the pass careless failed[^]*two outputs are named b/);
    const text = readFileSync(/reproducer: (\S+)/.exec(err)![1], 'utf8');
    expect(text).toMatch(/^\/\/ RUN: ditc opt %s --passes careless --verify --device '\{"name":"lavapipe"/);
    expect(text).toContain('%b = reshape %x {shape = [6]} : f32[6]  @ my.ts:3:4');
  });

  it('over all graphs of a model leaves them all', async () => {
    const cwd = folder({ 'two.ir': TWO });
    const { err } = await ditc(['opt', 'two.ir', '--passes', 'lonely'], cwd, { passes });
    const path = /the pass lonely failed[^]*reproducer: (\S+)/.exec(err)![1];
    expect((await ditc(['opt', path], cwd, { passes })).err).toContain('the pass lonely failed\n   TypeError: ');
    expect((await ditc(['opt', path, '--entry', 'g', '--passes', 'lonely'], cwd, { passes })).code).toBe(0);
  });

  it('is told where no reproducer can be written', async () => {
    const cwd = folder({ 'two.ir': TWO });
    vi.stubEnv('TMPDIR', join(cwd, 'missing'));
    const { code, err } = await ditc(['opt', 'two.ir', '--passes', 'fragile'], cwd, { passes });
    expect(code).toBe(1);
    expect(err).toContain('the pass fragile failed\n   TypeError: exp is not supported yet\n   reproducer: none, for ');
    expect(err).toContain('there is no such file or folder (ENOENT)');
  });

  it('of build too, and nothing else is written', async () => {
    const source = TINY.replace('x.mul(k', 'x.exp().mul(k');
    const cwd = folder({ 'tiny.ts': source });
    const { code, out, err } = await ditc(['build', 'tiny.ts', '--json'], cwd, { passes: [fragile] });
    expect({ code, err }).toEqual({ code: 1, err: '' });
    const { error } = JSON.parse(out);
    expect(error).toMatchObject({ code: 'internal', what: 'the pass fragile failed' });
    const path = /reproducer: (\S+)/.exec(error.why)![1];
    expect(readFileSync(path, 'utf8')).toMatch(/= exp %x : f32\[1,3\] {2}@ tiny\.ts:\d+:\d+/);
    expect(await spawnDitc(['opt', path, '--passes', 'simplify'], cwd)).toMatchObject({ code: 0 });
    expect(existsSync(join(cwd, 'codegen-out'))).toBe(false);
  });
});

const rebuilt: GraphPass['run'] = (graph) => rebuild(graph, opTable, () => undefined);
