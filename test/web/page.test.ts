/**
 * A built folder in each browser: what a visitor gets, and what happens when something is wrong.
 * @once
 */
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ModelFile, VariantFile } from '../../runtime/web/model-file.ts';
import { sha256 } from '../../compiler/emit/digest.ts';
import type { AdapterChoice } from '../../runtime/node/adapter.ts';
import { load } from '../../runtime/node/index.ts';
import { engines, need } from '../helpers/engines.ts';
import { visit, type Meddle } from '../helpers/web-page.ts';
import { BATCH, built, portable, weights, withModel } from './fixture.ts';

const TIMEOUT = 420_000;

/** Counts in the page: what is loaded again must not come from the browser's HTTP cache. */
const CLASSES = [0, 1, 2, 0, 1, 2];
const DATA = `{ images: Uint8Array.from({ length: 6 * 64 }, (_, i) => (i * 29) % 256), labels: [0, 1, 2, 0, 1, 2] }`;
/** Firefox tells of what a GPU has done ten times a second: a loss that is read takes a tenth of a second. */
const STEPS = { Chromium: 200, Firefox: 50 };

/** What to do for WebGPU, in the words of each browser. */
const ADVICE = { Chromium: 'graphics acceleration', Firefox: 'about:config' };

const SAMPLING = ['sampleStart', 'sampleStep'];
const TRAINING = ['trainStart', 'trainStep'];

type Loaded = Awaited<ReturnType<typeof load>>;

async function inNode<T>(device: AdapterChoice, entries: readonly string[], use: (node: Loaded) => Promise<T>) {
  const node = await load(portable, { weights, device, entries });
  try {
    return await use(node);
  } finally {
    await node.dispose();
  }
}

let expectedLosses: Promise<number[]> | undefined;

/** Of all steps, on SwiftShader: computed once, for each browser. */
const lossesInNode = (): Promise<number[]> =>
  (expectedLosses ??= inNode('embedded', TRAINING, async (node) => {
    const losses: number[] = [];
    const data = new Function(`return ${DATA}`)() as Parameters<typeof node.train>[0]['data'];
    const steps = Math.max(...Object.values(STEPS));
    await node.train({ data, steps, every: 1, seed: 3, onStep: (at) => void losses.push(at.loss) });
    return losses;
  }));

describe.each(engines)('a model in a page of $title', { timeout: TIMEOUT }, (engine) => {
  beforeEach(({ skip }) => need(engine, skip));
  // What takes Firefox long: a training, whose kernels lavapipe compiles for a minute, and what takes many visits.
  const isLong = engine.name === 'Firefox' && !process.env.DITC_SLOW;
  let files: ReadonlyMap<string, string | Uint8Array>;
  let model: ModelFile;
  beforeAll(async () => void ({ files, model } = await built()));

  const inPage = (script: string, meddle?: Meddle, served = files) => visit(engine, served, script, meddle);
  const failing = async (script: string, meddle?: Meddle, served = files) =>
    (await inPage(script, meddle, served)).result as { error: { code: string; message: string; fix?: string } };
  // SwiftShader takes seconds for each kernel: those of one entry are enough to see a download fail.
  const LOAD = `const { load } = await import('./index.js'); const FEW = { entries: ['sampleStart'] }; `;

  it('draws the pictures that Node draws, and downloads no weights a second time', async () => {
    const { result, requests } = await inPage(`${LOAD}
      const progress = [], notes = [];
    const entries = ${JSON.stringify(SAMPLING)};
    const first = await load({ entries, onProgress: (p) => progress.push(p), onNote: (n) => notes.push(n) });
    const drawn = await first.sample({ classes: [${CLASSES.join()}], seed: 7 });
    await first.dispose();
    const second = await load({ entries });
    const again = await second.sample({ classes: [${CLASSES.join()}], seed: 7 });
    await second.dispose();
    return { progress, notes, shape: drawn.shape, drawn: [...drawn.data], again: [...again.data] };`);
    const found = result as Record<'drawn' | 'again' | 'shape', number[]> & {
      progress: { bytes: number; totalBytes: number; phase: string }[];
      notes: string[];
    };
    expect(found).not.toHaveProperty('error');
    const expected = await inNode(engine.adapter, SAMPLING, (node) => node.sample({ classes: CLASSES, seed: 7 }));
    expect(found.shape).toEqual([...expected.shape]);
    expect(found.notes).toEqual([
      expect.stringMatching(/^not sg: (it is for hardware GPUs alone|the GPU has no subgroups)$/),
      `small runs as base on ${engine.gpu}`,
    ]);
    const difference = Math.max(...found.drawn.map((value, i) => Math.abs(value - expected.data[i])));
    expect(difference).toBeLessThan(1 / 255);
    expect(found.again).toEqual(found.drawn);

    const total = found.progress[0].totalBytes;
    expect(found.progress.every(({ bytes, totalBytes }) => bytes <= total && totalBytes === total)).toBe(true);
    expect(found.progress.at(-1)).toMatchObject({ phase: 'ready', bytes: total });
    const chunks = requests.filter((path) => path.startsWith('weights/') || path.startsWith('code/'));
    expect(chunks.length).toBe(new Set(chunks).size);
  });

  it.skipIf(isLong)('trains by the losses that Node trains by', async () => {
    const steps = STEPS[engine.name];
    const { result } = await inPage(`${LOAD}
      const model = await load({ entries: ${JSON.stringify(TRAINING)} });
      const losses = [];
      await model.train({ data: ${DATA}, steps: ${steps}, every: 1, seed: 3, onStep: (at) => losses.push(at.loss) });
      await model.dispose();
      return losses;`);
    const expected = await lossesInNode();
    expect(result).toHaveLength(steps);
    (result as number[]).forEach((loss, i) => {
      expect(Math.abs(loss - expected[i])).toBeLessThan(1e-3 * Math.max(1, expected[i]));
    });
  });

  it('resumes where the connection broke off', async () => {
    const broken = new Set<string>();
    const ranges: string[] = [];
    const { result } = await inPage(
      `${LOAD} const model = await load(FEW); await model.dispose(); return 'whole';`,
      (path, request, response) => {
        if (request.headers.range) ranges.push(`${path} ${request.headers.range}`);
        if (!path.startsWith('weights/') || broken.has(path)) return false;
        broken.add(path);
        const bytes = files.get(path) as Uint8Array;
        response.writeHead(200, { 'content-length': bytes.length });
        response.write(bytes.subarray(0, 1000), () => setTimeout(() => response.destroy(), 200));
        return true;
      },
    );
    expect(result).toBe('whole');
    expect(ranges).toEqual([...broken].map((path) => `${path} bytes=1000-`));
  });

  it.skipIf(isLong)('names a file that is not there, damaged, or no model, with the fix', async () => {
    const missing = await failing(`${LOAD} await load(FEW);`, (path, _, response) => {
      if (!path.startsWith('weights/')) return false;
      response.writeHead(404).end();
      return true;
    });
    expect(missing.error).toMatchObject({ code: 'network', fix: expect.stringContaining('whole folder') });
    expect(missing.error.message).toMatch(/weights\/\w+\.bin: the server answers 404/);
    const [chunk] = model.weights.f32.chunks;
    const other = Uint8Array.from(files.get(chunk.file) as Uint8Array);
    other[100] ^= 1;
    const damaged = await failing(`${LOAD} await load(FEW);`, undefined, new Map([...files, [chunk.file, other]]));
    expect(damaged.error).toMatchObject({ code: 'damaged', fix: 'upload it again' });
    const none = await failing(`${LOAD} await load(FEW);`, undefined, new Map([...files, ['model.json', '<html>']]));
    expect(none.error).toMatchObject({ code: 'damaged', fix: expect.stringContaining('--target web') });
    const long = await failing(`${LOAD} await load(FEW);`, (path, _, response) => {
      if (!path.startsWith('weights/')) return false;
      response.end(new Uint8Array(chunk.bytes + 8));
      return true;
    });
    expect(long.error.message).toMatch(/sends more than the \d+ bytes/);
  });

  it('ends when it is asked to, while it downloads and while it draws', async () => {
    const { result } = await inPage(`${LOAD}
      const reasons = [];
    const early = new AbortController();
    const onProgress = ({ phase }) => phase === 'download' && early.abort(new Error('no more'));
    await load({ ...FEW, signal: early.signal, onProgress }).catch((error) => reasons.push(error.message));
    const late = new AbortController();
    const model = await load({ entries: ['sampleStart', 'sampleStep'] });
    const onStep = () => late.abort(new Error('enough'));
    await model.sample({ classes: [0], signal: late.signal, onStep }).catch((error) => reasons.push(error.message));
    await model.dispose();
    return reasons;`);
    expect(result).toEqual(['no more', 'enough']);
  });

  it('steps down from a variant that computes wrong values, and refuses when none is right', async () => {
    const [base] = model.variants.slice(-1);
    const code = JSON.parse(Buffer.from(files.get(base.code.file) as Uint8Array).toString()) as VariantFile;
    code.selfTest.expected = { ...code.selfTest.expected, product: code.selfTest.expected.product.map((x) => x + 1) };
    const text = JSON.stringify(code);
    const wrong = { file: 'code/wrong.json', bytes: Buffer.byteLength(text), sha256: sha256(text) };
    const first = { ...base, name: 'first', code: wrong };
    const served = (variants: ModelFile['variants']) =>
      withModel(new Map([...files, [wrong.file, text]]), { ...model, variants });
    const script = `${LOAD} const notes = []; const model = await load({ ...FEW, onNote: (n) => notes.push(n) }); await model.dispose(); return notes;`;
    const { result } = await inPage(script, undefined, served([first, base]));
    expect(result).toEqual([
      expect.stringMatching(`^first is passed over on ${engine.gpu} in .*: kernel \\w+ gives`),
      `small runs as base on ${engine.gpu}`,
    ]);
    const { error } = await failing(script, undefined, served([first]));
    expect(error).toMatchObject({ code: 'wrong-values', fix: expect.stringContaining('driver') });
  });

  it('tells of a browser without WebGPU or a GPU what to do', async () => {
    const none = await failing(
      `Object.defineProperty(navigator, 'gpu', { value: undefined }); ${LOAD} await load(FEW);`,
    );
    expect(none.error).toMatchObject({ code: 'no-webgpu', fix: expect.stringContaining(ADVICE[engine.name]) });
    const blocked = await failing(
      `Object.defineProperty(navigator, 'gpu', { value: { requestAdapter: async () => null } }); ${LOAD} await load(FEW);`,
    );
    expect(blocked.error).toMatchObject({ code: 'no-adapter', fix: expect.stringContaining('driver') });
  });

  it('is told of more pictures than its batch, and of wrong options, as in Node', async () => {
    const { error } = await failing(`${LOAD} await load({ onprogress() {} });`);
    expect(error.message).toMatch(/did you mean onProgress\?/);
    expect(CLASSES.length).toBeGreaterThan(BATCH);
  });
});
