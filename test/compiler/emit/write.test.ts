import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Project, ts } from 'ts-morph';
import { describe, expect, it } from 'vitest';
import { constant, defineModel, normal, fixed } from '../../../compiler/dsl/index.ts';
import { sha256 } from '../../../compiler/emit/digest.ts';
import { artefactFiles, formatJson } from '../../../compiler/emit/write.ts';
import { parseGraphs, printGraph, type Graph } from '../../../compiler/ir/index.ts';
import { opTable } from '../../../compiler/ops/index.ts';
import { compileModel } from '../../../compiler/compile.ts';
import { PORTABLE } from '../../../compiler/device.ts';
import { openSafetensors } from '../../../runtime/checkpoint/safetensors.ts';
import { MemorySource } from '../../../runtime/checkpoint/source.ts';

const model = defineModel({
  config: {},
  entries: {
    forward(e) {
      const x = e.input('x', [e.batch, 2]);
      const table = constant([1.5, 2.5, -3.5, 4.5], [2, 2]);
      const bits = constant([1, 4294967295], [2], 'u32');
      const w = e.params.param('deep.name-1.weight', [2, 2], normal(0.5));
      const pos = e.params.param('pos', [2], fixed([7, 8]));
      const n = e.state('n', [], 'i32');
      e.update(n, n.add(1));
      return { out: x.matmul(table).matmul(w).add(pos).add(bits.cast('f32')), twice: x.mul(2) };
    },
    nothing(e) {
      return { same: e.input('flags', [3], 'bool').cast('f32') };
    },
  },
});

function compiled() {
  const graphs = new Map<string, Graph>();
  const artefact = compileModel(model, {
    name: 'sample',
    source: 'models/sample.ts',
    device: PORTABLE,
    entryOptions: { batch: 3 },
    onPass: (_, graph) => graphs.set(graph.name, graph),
  });
  return { artefact, graphs: [...graphs.values()], files: artefactFiles(artefact, [...graphs.values()]) };
}

describe('artefactFiles', () => {
  const { artefact, graphs, files } = compiled();

  it('holds every file the manifest names, in a fixed order', () => {
    const kernels = Object.values(artefact.manifest.kernels).map(({ file }) => file);
    const fixed = ['manifest.json', 'graph.ir', 'index.ts', 'constants.safetensors'];
    expect([...files.keys()]).toEqual([...fixed, ...kernels]);
    for (const [name, content] of files) if (typeof content === 'string') expect(content, name).toMatch(/[^\n]\n$/);
  });

  it('is the same each time', () => {
    expect(compiled().files).toEqual(files);
  });

  it('writes the manifest whole, keys in the documented order', () => {
    const text = files.get('manifest.json') as string;
    const parsed = JSON.parse(text);
    const { files: digests, digest, ...rest } = parsed;
    expect(rest).toEqual(JSON.parse(JSON.stringify(artefact.manifest)));
    expect(digest).toBe(sha256(JSON.stringify({ ...rest, files: digests })));
    const others = [...files].filter(([name]) => name !== 'manifest.json');
    expect(digests).toEqual(Object.fromEntries(others.map(([name, content]) => [name, sha256(content)])));
    expect(Object.keys(parsed).slice(0, 8)).toEqual(
      ['format', 'model', 'source', 'device', 'options', 'entries', 'kernels', 'params'], // docs/artefact.md
    );
    expect(text).toMatch(/^\{\n {2}"format": 1,\n {2}"model": "sample",\n/);
    expect(text).toContain('{ "name": "x", "shape": [3, 2], "dtype": "f32" }');
  });

  it('writes graphs that parse back', () => {
    const text = files.get('graph.ir') as string;
    expect(parseGraphs(text, opTable).map((graph) => printGraph(graph))).toEqual(graphs.map((g) => printGraph(g)));
  });

  it('writes dense data as a checkpoint reader reads it', async () => {
    const bytes = files.get('constants.safetensors') as Uint8Array;
    const file = await openSafetensors(new MemorySource('constants', bytes));
    expect([...file.tensors.keys()]).toEqual([...artefact.data.keys()]);
    for (const [name, values] of artefact.data) {
      const read = values instanceof Float32Array ? await file.readF32(name) : await file.readI32(name);
      const same = values instanceof Uint32Array ? new Uint32Array(read) : read;
      expect(same, name).toEqual(values);
    }
    expect(file.tensors.get('init.pos')?.shape).toEqual([2]);
  });

  it('leaves the constants out when there are none', () => {
    const entryOptions = { batch: 1 };
    const options = { name: 'n', source: 'n.ts', device: PORTABLE, entries: ['nothing'], entryOptions };
    expect(artefactFiles(compileModel(model, options), []).has('constants.safetensors')).toBe(false);
  });
});

describe('the bindings', () => {
  const right = `
    const { out, twice } = await model.run('forward', { x: new Float32Array(6) });
    export const values: Float32Array[] = [out.data, twice.data];
    export const shape: readonly [3, 2] = out.shape;
    const fewer = await model.run('forward', { x: twice }, { outputs: ['twice'] });
    export const some: { twice: m.Entries['forward']['outputs']['twice'] } = fewer;
    const { same } = await model.run('nothing', { flags: [true, false, true] });
    export const f32: 'f32' = same.dtype;
    export const n: Int32Array = (await model.state('n')).data;
    await model.setState('n', 3);
    export const weight: readonly [2, 2] = (await model.param('deep.name-1.weight')).shape;
    export const name: 'sample' = m.model;`;
  const wrong: [use: string, message: RegExp][] = [
    ["await model.run('forward', { y: new Float32Array(6) });", /'y' does not exist/],
    ["await model.run('forward', {});", /Property 'x' is missing/],
    ["await model.run('forward', { x: new Int32Array(6) });", /Int32Array<ArrayBuffer>' is not assignable/],
    ["export const { next } = await model.run('forward', { x: [] });", /Property 'next' does not exist/],
    ["await model.param('deep.name');", /is not assignable to parameter of type/],
    ["await model.run('backward', {});", /is not assignable to parameter of type/],
    ["export const a: readonly [2, 2] = (await model.run('forward', { x: [] })).out.shape;", /'3' is not assignable/],
  ];
  const errorsOf = typeChecker(compiled().files.get('index.ts') as string, [right, ...wrong.map(([use]) => use)]);

  it('type-check, and know names, shapes and arrays', () => expect(errorsOf(right)).toEqual([]));

  it.each(wrong)('refuse %s', (use, message) => expect(errorsOf(use).join('\n')).toMatch(message));
});

describe('formatJson', () => {
  it('is JSON', () => {
    const value = {
      empty: {},
      none: [],
      list: [1, -0.5, 1e300, true, null, 'a "b"\n'],
      left: undefined,
      'a key': { nested: Array.from({ length: 60 }, (_, i) => ({ i, name: `value ${i}` })) },
    };
    expect(JSON.parse(formatJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
    for (const line of formatJson(value).split('\n')) expect(line.length).toBeLessThanOrEqual(120);
    for (const small of [{}, [], 1, 'x', null]) expect(JSON.parse(formatJson(small))).toEqual(small);
  });
});

/** What TypeScript says of uses of the bindings: all in one program, which has the runtime's sources too. */
function typeChecker(bindings: string, uses: readonly string[]): (use: string) => string[] {
  const root = fileURLToPath(new URL('../../..', import.meta.url));
  const folder = join(root, 'codegen-out/of-a-test');
  const compilerOptions = { module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler };
  const tsConfigFilePath = join(root, 'tsconfig.json');
  const project = new Project({ tsConfigFilePath, skipAddingFilesFromTsConfig: true, compilerOptions });
  const sources = [project.createSourceFile(join(folder, 'index.ts'), bindings)];
  const imports = `import * as m from './index.ts';\nconst model = await m.load();\n`;
  for (const [i, use] of uses.entries())
    sources.push(project.createSourceFile(join(folder, `use-${i}.ts`), imports + use));
  const program = project.getProgram().compilerObject;
  return (use) => {
    const files = [sources[0], sources[1 + uses.indexOf(use)]].map((file) => file.compilerNode);
    const found = files.flatMap((file) => [
      ...program.getSyntacticDiagnostics(file),
      ...program.getSemanticDiagnostics(file),
    ]);
    return found.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
  };
}
