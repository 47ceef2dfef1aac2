/**
 * The states that a model's page meets, in Chromium: servers that break off, stall and lie, a full disk, a hidden tab, a lost GPU, two
 * tabs, what is ended in the middle. Each says what to do, and leaves nothing broken.
 * @once
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { recordIn } from '../../cli/train/record.ts';
import { checkSameModel } from '../../cli/train/same-model.ts';
import { loadCheckpoint } from '../../runtime/checkpoint/training.ts';
import { openSafetensors } from '../../runtime/checkpoint/safetensors.ts';
import { load } from '../../runtime/node/index.ts';
import type { LoadProgress } from '../../runtime/web/load.ts';
import type { ModelFile } from '../../runtime/web/model-file.ts';
import { adviceFor } from '../../runtime/web/error.ts';
import { findBrowser } from '../helpers/browser.ts';
import { Chromium, type Tab } from '../helpers/chromium.ts';
import { engines, need } from '../helpers/engines.ts';
import { serve, type Meddle, type Served } from '../helpers/web-page.ts';
import { builtWithTrainer, data, network, portable, SEED, weights, withModel } from './fixture.ts';

const [chromium] = engines;
const TIMEOUT = 300_000;

describe('advice to a browser without WebGPU', () => {
  it.each([
    ['Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0', /Firefox 141.*about:config/],
    ['Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15', /Safari 26/],
    ['Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36', /chrome:\/\/flags/],
    ['Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/110.0.0.0 Safari/537.36', /Chrome 113/],
    ['something else', /Chrome or Edge/],
  ])('is for that browser: %s', (agent, advice) => expect(adviceFor(agent)).toMatch(advice));
});

describe(`a page in ${chromium.title}`, { timeout: TIMEOUT }, () => {
  beforeEach(({ skip }) => need(chromium, skip));
  let browser: Chromium;
  let files: ReadonlyMap<string, string | Uint8Array>;
  let model: ModelFile;
  let server: Served;
  let meddle: Meddle = () => false;
  beforeAll(async () => {
    if (chromium.missing) return;
    ({ files, model } = await builtWithTrainer());
    files = new Map([...files, ['test.html', '<!doctype html><title>test</title>']]);
    browser = new Chromium(findBrowser()!);
    server = await serve(files, (...asked) => meddle(...asked));
  }, TIMEOUT);
  afterAll(async () => {
    await browser?.close();
    server?.close();
  });

  /** A tab with `load` and few kernels to compile, in a profile of its own unless told. */
  async function open(context?: string): Promise<Tab> {
    const tab = await browser.open(`${server.url}test.html`, context);
    await tab.until('document.title === "test"');
    await tab.run(`import('./index.js').then((m) => void Object.assign(window, m,
      { FEW: { entries: ['sampleStart'], patience: 2 }, DRAW: { entries: ['sampleStart', 'sampleStep'] } }))`);
    return tab;
  }
  const failure = (tab: Tab, script: string) =>
    tab.run<{ code: string; message: string; fix?: string }>(
      `(async () => { ${script} })().then(() => ({ code: 'none' }), ({ code, message, fix }) => ({ code, message, fix }))`,
    );
  const LOAD = 'await (await load(FEW)).dispose();';
  const isWeights = (path: string) => path.startsWith('weights/');

  async function meddling<T>(how: Meddle, work: () => Promise<T>): Promise<T> {
    meddle = how;
    try {
      return await work();
    } finally {
      meddle = () => false;
    }
  }

  it('goes on where a server stalls, ends too soon or knows no ranges', async () => {
    const asked: (string | undefined)[] = [];
    const tab = await open();
    const found = await meddling(
      (path, { headers }, response) => {
        if (!isWeights(path)) return false;
        asked.push(headers.range);
        const bytes = files.get(path) as Uint8Array;
        // Silence; a body that is too short; all of it for a part.
        if (asked.length === 1) response.writeHead(200).write(bytes.subarray(0, 400));
        else if (asked.length === 2) response.writeHead(206).end(bytes.subarray(400, 900));
        else response.writeHead(200).end(bytes);
        return true;
      },
      () => failure(tab, LOAD),
    );
    expect(found).toEqual({ code: 'none' });
    expect(asked).toEqual([undefined, 'bytes=400-', 'bytes=900-']);
    await tab.close();
  });

  it('names what a server that lies sent, and loads once it does no longer', async () => {
    const tab = await open();
    const lying = await meddling(
      (path, _, response) => isWeights(path) && !!response.writeHead(200).end('<!doctype html>'),
      () => failure(tab, LOAD),
    );
    expect(lying).toMatchObject({ code: 'network', fix: expect.stringContaining('whole folder') });
    const other = await meddling(
      (path, _, response) => isWeights(path) && !!response.end(new Uint8Array((files.get(path) as Uint8Array).length)),
      () => failure(tab, LOAD),
    );
    expect(other).toMatchObject({ code: 'damaged', message: expect.stringContaining('SHA-256') });
    expect(await failure(tab, LOAD)).toEqual({ code: 'none' });
    await tab.close();
  });

  it('of two tabs one downloads, for both', async () => {
    const first = await open();
    const second = await open(first.context);
    const before = server.requests.length;
    const slowly: Meddle = (path, _, response) => {
      if (!isWeights(path)) return false;
      setTimeout(() => response.end(files.get(path)), 300);
      return true;
    };
    const found = await meddling(slowly, () => Promise.all([failure(first, LOAD), failure(second, LOAD)]));
    expect(found).toEqual([{ code: 'none' }, { code: 'none' }]);
    expect(server.requests.slice(before).filter(isWeights)).toHaveLength(model.weights.f32.chunks.length);
    await first.close();
    await second.close();
  });

  it('removes what an earlier build left once no other tab is open', async () => {
    const STALE = 'of-an-earlier-build';
    const inFolders = (work: string) => `(async () => {
      const all = await (await navigator.storage.getDirectory()).getDirectoryHandle('ditc');
      const names = [];
      for await (const folder of all.values()) { ${work} }
      return names.sort();
    })()`;
    const names = (tab: Tab) =>
      tab.run<string[]>(inFolders('for await (const name of folder.keys()) names.push(name);'));
    const first = await open();
    expect(await failure(first, LOAD)).toEqual({ code: 'none' });
    const kept = await names(first);
    await first.run(inFolders(`await folder.getFileHandle('${STALE}', { create: true });`));
    const second = await open(first.context);
    expect(await failure(second, LOAD)).toEqual({ code: 'none' });
    expect(await names(second)).toContain(STALE);
    await first.close();
    await second.close();
    const before = server.requests.length;
    const next = await open(first.context);
    expect(await failure(next, LOAD)).toEqual({ code: 'none' });
    expect(await names(next)).toEqual(kept);
    expect(server.requests.slice(before).filter(isWeights)).toEqual([]);
    await next.close();
  });

  it('loads where nothing can be kept, and says so', async () => {
    const tab = await open();
    await tab.send('Storage.overrideQuotaForOrigin', { origin: server.url.replace(/\/$/, ''), quotaSize: 1000 });
    const notes = await tab.run<string[]>(`load(FEW).then(async (m) => (await m.dispose(), m.notes))`);
    expect(notes).toContainEqual(expect.stringMatching(/not kept for the next visit: .*([Qq]uota|room)/));
    await tab.close();
  });

  it('names the tensor that is too large for the GPU', async () => {
    const [base] = model.variants.slice(-1);
    const code = JSON.parse(String(files.get(base.code.file))) as {
      artefact: { manifest: { params: { name: string; shape: number[] }[] } };
    };
    const [param] = code.artefact.manifest.params;
    param.shape = [2 ** 33, ...param.shape.slice(1)];
    const text = JSON.stringify(code);
    const { sha256 } = await import('../../compiler/emit/digest.ts');
    const large = { file: 'code/large.json', bytes: Buffer.byteLength(text), sha256: sha256(text) };
    const served = withModel(new Map([[large.file, text]]), { ...model, variants: [{ ...base, code: large }] });
    const tab = await open();
    const found = await meddling(
      (path, _, response) => served.has(path) && !!response.end(served.get(path)),
      () => failure(tab, LOAD),
    );
    expect(found.code).toBe('limit');
    expect(found.message).toContain(param.name);
    await tab.close();
  });

  it('ends what is aborted at any phase, and then does it after all', async () => {
    const tab = await open();
    const ends = (script: string) =>
      failure(
        tab,
        `const stop = new AbortController(), signal = stop.signal, end = () => stop.abort(new Error('enough')); ${script}`,
      );
    for (const phase of ['download', 'upload', 'compile']) {
      const found = await ends(`
        window.told = [];
        const onProgress = (p) => (told.push(p), p.phase === '${phase}' && end());
        await load({ ...FEW, signal, onProgress });`);
      expect(found).toMatchObject({ message: 'enough' });
      // At once: nothing is waited for, and nothing told any more.
      await new Promise((resolve) => setTimeout(resolve, 500));
      const told = await tab.run<LoadProgress[]>('told');
      expect(told.filter((progress) => progress.phase === phase)).toHaveLength(1);
      expect(told.at(-1)!.phase).toBe(phase);
      expect(told.at(-1)!.uploaded).toBeLessThanOrEqual(told.at(-1)!.bytes);
    }
    const drawn = await ends(`
      window.model = await load(DRAW);
      await model.sample({ classes: [0], signal, onStep: (done) => done === 2 && end() });`);
    expect(drawn).toMatchObject({ message: 'enough' });
    const again = await tab.run<number[]>(`model.sample({ classes: [0, 1], seed: 7 }).then(({ data }) => [...data])`);

    // What the GPU is lost under goes on: all steps are told, and the pictures are the same. A hidden tab, too, and one that is frozen.
    const lost = `(async () => {
      const notes = [], told = [];
      const model = await load({ ...DRAW, onNote: (note) => notes.push(note) });
      const onStep = (done) => { told.push(done); if (told.length === 2) model.program.device.destroy(); };
      const { data } = await model.sample({ classes: [0, 1], seed: 7, onStep });
      await model.dispose();
      return { data: [...data], last: told.at(-1), notes };
    })()`;
    const after = await tab.run<{ data: number[]; last: number; notes: string[] }>(lost);
    expect(after.data).toEqual(again);
    expect(after.last).toBe(4);
    expect(after.notes).toContainEqual(expect.stringMatching(/device was lost.*opened anew/));
    await tab.run(`window.seen = [], document.addEventListener('visibilitychange', () => seen.push(document.hidden))`);
    // Again and again, until one has begun while it is hidden.
    await tab.run(`void (window.all = (async () => {
      const all = [];
      for (let begun = false; !begun;) {
        begun = document.hidden;
        all.push([...(await model.sample({ classes: [0, 1], seed: 7 })).data].join());
      }
      return [...new Set(all)];
    })())`);
    const other = await browser.open('about:blank', tab.context);
    await other.send('Page.bringToFront');
    await tab.until('document.hidden');
    expect(await tab.run('all')).toEqual([again.join()]);
    expect(await tab.run('document.hidden')).toBe(true);
    await other.close();
    await tab.send('Page.bringToFront');
    await tab.until('seen.length === 2');
    expect(await tab.run('seen')).toEqual([true, false]);
    await tab.run(`void (window.frozen = model.sample({ classes: [0, 1], seed: 7 }))`);
    await tab.send('Page.setWebLifecycleState', { state: 'frozen' });
    await new Promise((resolve) => setTimeout(resolve, 500));
    await tab.send('Page.setWebLifecycleState', { state: 'active' });
    expect(await tab.run(`frozen.then(({ data }) => [...data])`)).toEqual(again);
    await tab.close();
  });

  it('trains, and a checkpoint of it goes on in Node by the losses by which the page goes on', async () => {
    const tab = await open();
    const page = await tab.run<{
      checkpoint: number[];
      losses: number[];
      again: number[];
      steps: number;
    }>(`(async () => {
      const trainer = await openTrainer();
      const stop = new AbortController();
      await trainer.train({ steps: 100, signal: stop.signal, onStep: ({ step }) => step === 3 && stop.abort() });
      const parts = await trainer.checkpoint();
      const file = new Uint8Array(await new Blob(parts).arrayBuffer());
      const losses = [], again = [];
      await trainer.train({ steps: 3, onStep: ({ loss }) => losses.push(loss) });
      await trainer.restore('0000003.safetensors', file);
      const steps = trainer.step;
      await trainer.train({ steps: 3, onStep: ({ loss }) => again.push(loss) });
      window.bad = await trainer.restore('other', file.slice(0, 100)).catch((error) => error.code);

      // The GPU is lost in the middle: it is opened anew, and the training goes on from what it kept, by the same losses.
      await trainer.restore('0000003.safetensors', file);
      const after = [];
      await trainer.train({ steps: 3, onStep: ({ step, loss }) => {
        after[step] = loss;
        if (step === 5 && !window.lost) (window.lost = true), trainer.model.program.device.destroy();
      } });
      window.after = after.filter((loss) => loss !== undefined);
      return { checkpoint: [...file], losses, again, steps };
    })()`);
    expect(page.steps).toBe(3);
    expect(page.again).toEqual(page.losses);
    expect(await tab.run('bad')).toBe('truncated');
    expect(await tab.run('[lost, ...after]')).toEqual([true, ...page.losses]);

    // Another visit has the data of this one.
    const before = server.requests.length;
    const told = await tab.run<number[]>(`(async () => {
      const stop = new AbortController(), told = [];
      const onData = (bytes, total) => (told.push(bytes / total), bytes === total && stop.abort());
      await openTrainer({ signal: stop.signal, onData }).catch(() => {});
      return told;
    })()`);
    expect(told.at(-1)).toBe(1);
    expect(server.requests.slice(before).filter((path) => path.startsWith('train/data/'))).toEqual([]);
    await tab.close();

    const bytes = Uint8Array.from(page.checkpoint);
    const file = await openSafetensors({
      name: '0000003.safetensors',
      size: bytes.length,
      read: async (offset, length) => bytes.slice(offset, offset + length),
      close: async () => {},
    });
    const record = recordIn(file);
    checkSameModel(network, 'small', record, file.name);
    const node = await load(portable, { weights, device: 'embedded', entries: ['trainStart', 'trainStep'] });
    await node.resumeTraining(record, (program) => loadCheckpoint(program, file));
    const losses: number[] = [];
    await node.train({ data, steps: 3, seed: SEED, onStep: ({ loss }) => void losses.push(loss) });
    await node.dispose();
    losses.forEach((loss, i) => expect(Math.abs(loss - page.losses[i])).toBeLessThan(1e-3 * Math.max(1, loss)));
  });
});
