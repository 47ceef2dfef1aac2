/**
 * One damaged artefact, or text of the IR, and whether it is met as it should be: refused with an error that names the file, or
 * of the same meaning as before. An artefact whose manifest is forged, digest and all, may compute something else, but
 * must not do harm: it is refused, or becomes a program of Dawn's null backend.
 */
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { constant, defineModel, fixed, gelu, layerNorm, normal } from '../../compiler/dsl/index.ts';
import type { Manifest } from '../../compiler/emit/artefact.ts';
import { signed } from '../../compiler/emit/digest.ts';
import { artefactFiles } from '../../compiler/emit/write.ts';
import { DitcError, nodesOf, printGraph, readGraphs, sizeOf, type Graph } from '../../compiler/ir/index.ts';
import { opTable, Random } from '../../compiler/ops/index.ts';
import { compileGraphs, compileModel } from '../../compiler/compile.ts';
import { pipeline, runPasses } from '../../compiler/pipeline.ts';
import { PORTABLE } from '../../compiler/device.ts';
import { openDevice } from '../../runtime/device.ts';
import { RuntimeError } from '../../runtime/error.ts';
import { findAdapter } from '../../runtime/node/adapter.ts';
import { readArtefact } from '../../runtime/node/artefact.ts';
import { Program } from '../../runtime/program.ts';
import { mutateBytes, mutateJson, mutateText, type Json } from './mutate.ts';

export const KINDS = ['artefact', 'forged', 'ir'] as const;
export type Kind = (typeof KINDS)[number];

export interface Outcome {
  readonly kind: Kind;
  readonly result: 'refused' | 'same' | 'another program';
  /** What is not as it should be. */
  readonly wrong?: string;
}

const MODEL = defineModel({
  config: {},
  entries: {
    forward(e) {
      const x = e.input('x', [e.batch, 6]);
      const h = gelu(e.params.linear('fc', layerNorm(x), 8));
      const table = constant([1, 2, 3, 4, 5, 6, 7, 8], [8]);
      const n = e.state('n', [2], 'i32', fixed([3, 4]));
      e.update(n, n.add(1));
      return { out: h.add(table), rows: e.params.param('rows', [5, 3], normal(1)).gather(e.input('at', [2], 'i32')) };
    },
    step(e) {
      const i = e.counter('i', 4);
      e.update(i, i.add(1));
      const x = e.state('x', [3]);
      e.update(x, x.add(i.cast('f32').exp()));
    },
  },
});

function build(): ReadonlyMap<string, Uint8Array> {
  const graphs = new Map<string, Graph>();
  const artefact = compileModel(MODEL, {
    name: 'fuzzed',
    source: 'fuzzed.ts',
    device: PORTABLE,
    entryOptions: { batch: 2 },
    onPass: (_, graph) => graphs.set(graph.name, graph),
  });
  const files = artefactFiles(artefact, [...graphs.values()]);
  return new Map([...files].map(([name, content]) => [name, Buffer.from(content)]));
}

/** Texts of the IR: those of the artefact and of the text cases. */
function texts(graph: string): string[] {
  const folder = fileURLToPath(new URL('../text', import.meta.url));
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ir'));
  const cases = names.sort().map((name) => readFileSync(join(folder, name), 'utf8'));
  return [graph, ...cases.filter((text) => text.length < 4000)];
}

export class ArtefactCases {
  readonly #files = build();
  readonly #texts = texts(String(this.#files.get('graph.ir')));
  readonly #folder = mkdtempSync(join(tmpdir(), 'ditc-fuzz-'));
  readonly #device: GPUDevice;
  #original: unknown;

  private constructor(device: GPUDevice) {
    this.#device = device;
  }

  static async open(): Promise<ArtefactCases> {
    const found = await findAdapter({ prefer: 'null' });
    const { device } = await openDevice(found.adapter, found.spec);
    const cases = new ArtefactCases(device);
    cases.#write(new Map());
    cases.#original = await readArtefact(cases.#folder);
    return cases;
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
    this.#device.destroy();
  }

  /** The case of this number: the same every time. */
  async run(kind: Kind, number: number): Promise<Outcome> {
    const random = new Random(number * 3 + KINDS.indexOf(kind));
    try {
      return { kind, result: await this[kind](random) };
    } catch (error) {
      return isToldWell(error, kind === 'ir' ? 'case.ir' : this.#folder) ?? { kind, result: 'refused' };
    }

    function isToldWell(error: unknown, file: string): Outcome | undefined {
      const isOurs = error instanceof DitcError || error instanceof RuntimeError;
      const wrong = !isOurs
        ? `threw ${error instanceof Error ? error.stack?.split('\n').slice(0, 4).join(' ') : String(error)}`
        : error.code === 'internal'
          ? `is told as a bug: ${error.message}`
          : kind === 'artefact' && !error.where?.startsWith(file)
            ? `is told without the file: ${error.message}`
            : undefined;
      return wrong === undefined ? undefined : { kind, result: 'refused', wrong };
    }
  }

  /** A file of the folder is damaged, or gone. */
  async artefact(random: Random): Promise<Outcome['result']> {
    const name = random.pick([...this.#files.keys()]);
    const donor = this.#files.get(random.pick([...this.#files.keys()]))!;
    const bytes = this.#files.get(name)!;
    const isText = !name.endsWith('.safetensors') && random.next() < 0.5;
    const damaged = isText ? Buffer.from(mutateText(random, String(bytes))) : mutateBytes(random, bytes, donor);
    this.#write(new Map([[name, damaged]]));
    const read = await readArtefact(this.#folder);
    if (isDeepStrictEqual(read, this.#original)) return 'same';
    throw new Error(`${name} was changed and gives another artefact`);
  }

  /** The manifest says something else, and signs it. */
  async forged(random: Random): Promise<Outcome['result']> {
    const { files, digest: _, ...manifest } = JSON.parse(String(this.#files.get('manifest.json'))) as Manifest;
    const changed = mutateJson(random, manifest as unknown as Json) as unknown as Manifest;
    const others = [...this.#files].filter(([name]) => name !== 'manifest.json');
    const text = JSON.stringify(signed(changed, new Map(others)));
    void files;
    this.#write(new Map([['manifest.json', Buffer.from(text)]]));
    const artefact = await readArtefact(this.#folder);
    for (const name of filesOf(artefact.manifest))
      if (dirname(join('/out', name)) !== '/out')
        throw new Error(`the name ${JSON.stringify(name)} leads out of its folder`);
    (await Program.create(this.#device, artefact)).close();
    return 'another program';
  }

  /** A text of the IR is damaged: what still reads as graphs is compiled. */
  async ir(random: Random): Promise<Outcome['result']> {
    const original = random.pick(this.#texts);
    const text = mutateText(random, original);
    const graphs = readGraphs(text, opTable, 'case.ir');
    const printed = graphs.map((graph) => printGraph(graph)).join('\n');
    const again = readGraphs(printed, opTable, 'again.ir').map((graph) => printGraph(graph));
    if (again.join('\n') !== printed) throw new Error('what was read prints, and reads back as something else');
    runPasses(graphs, { device: PORTABLE, passes: pipeline.slice(0, 2), verify: true });
    if (graphs.every(isSmall)) compileGraphs(graphs, { device: PORTABLE, verify: true });
    return text === original ? 'same' : 'another program';
  }

  #write(changed: ReadonlyMap<string, Uint8Array>): void {
    for (const [name, bytes] of new Map([...this.#files, ...changed])) {
      const path = join(this.#folder, name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, bytes);
    }
  }
}

/** Work that a fraction of a second does: tables are computed by the compiler. */
const isSmall = (graph: Graph): boolean => nodesOf(graph).every(({ type }) => sizeOf(type.shape) < 1 << 20);

const filesOf = ({ entries, states, kernels }: Manifest): string[] => [
  ...Object.values(entries).flatMap(({ outputs }) => outputs.map(({ name }) => `${name}.npy`)),
  ...states.map(({ name }) => `${name}.npy`),
  ...Object.values(kernels).map(({ file }) => file.replace(/^kernels\//, '')),
];
