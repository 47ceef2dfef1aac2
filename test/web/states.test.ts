/**
 * The states that visitors meet, in Chromium: no WebGPU, servers that break off, stall and lie, a full disk, a hidden tab, a lost GPU, two
 * tabs, what is ended in the middle. Each says what to do, and leaves nothing broken.
 * @once
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { recordIn } from '../../cli/train/record.ts';
import { checkSameModel } from '../../cli/train/same-model.ts';
import { loadCheckpoint } from '../../runtime/checkpoint/training.ts';
import { openSafetensors } from '../../runtime/checkpoint/safetensors.ts';
import { load } from '../../runtime/node/index.ts';
import type { ModelFile } from '../../runtime/web/model-file.ts';
import { adviceFor } from '../../runtime/web/error.ts';
import { findBrowser } from '../helpers/browser.ts';
import { Chromium, type Tab } from '../helpers/chromium.ts';
import { serve, type Meddle, type Served } from '../helpers/web-page.ts';
import { builtWithTrainer, data, network, portable, SEED, weights, withModel } from './fixture.ts';

const command = findBrowser();
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

describe.skipIf(!command)('a page in Chromium', { timeout: TIMEOUT }, () => {
  let browser: Chromium;
  let files: ReadonlyMap<string, string | Uint8Array>;
  let model: ModelFile;
  let server: Served;
  let meddle: Meddle = () => false;
  beforeAll(async () => {
    ({ files, model } = await builtWithTrainer());
    files = new Map([...files, ['test.html', '<!doctype html><title>test</title>']]);
    browser = new Chromium(command!);
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
    for (const phase of ['download', 'compile'])
      expect(
        await ends(`await load({ ...FEW, signal, onProgress: (p) => p.phase === '${phase}' && end() });`),
      ).toMatchObject({ message: 'enough' });
    const drawn = await ends(`
      window.model = await load(DRAW);
      await model.sample({ classes: [0], signal, onStep: (done) => done === 2 && end() });`);
    expect(drawn).toMatchObject({ message: 'enough' });
    const again = await tab.run<number[]>(`model.sample({ classes: [0, 1], seed: 7 }).then(({ data }) => [...data])`);

    // What the GPU is lost under goes on: all steps are told, and the pictures are the same. A frozen tab, too.
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

  it('is used by keyboard, told to screen readers, and fits a phone', async () => {
    const tab = await browser.open(server.url);
    await tab.send('Emulation.setDeviceMetricsOverride', {
      width: 360,
      height: 740,
      deviceScaleFactor: 1,
      mobile: true,
    });
    await tab.until(`document.getElementById('status').textContent === 'ready'`, TIMEOUT);
    expect(await tab.run('document.documentElement.scrollWidth')).toBe(360);
    interface Node {
      readonly ignored: boolean;
      readonly role?: { readonly value: string };
      readonly name?: { readonly value: string };
    }
    const { nodes } = await tab.send<{ nodes: Node[] }>('Accessibility.getFullAXTree');
    const seen = nodes.filter(({ ignored }) => !ignored).map(({ role, name }) => `${role?.value} ${name?.value}`);
    for (const expected of ['heading small', 'status ', 'tab Draw', 'tab Train', 'tab What runs', 'tabpanel Draw'])
      expect(seen).toContain(expected);
    for (const expected of [
      'textbox Classes',
      'spinbutton Seed',
      'spinbutton Steps',
      'spinbutton Guidance',
      'combobox Sampler',
    ])
      expect(seen).toContain(expected);
    const named = nodes.filter(
      ({ ignored, role }) => !ignored && /button|textbox|combobox|tab$/.test(role?.value ?? ''),
    );
    expect(named.filter(({ name }) => !name?.value)).toEqual([]);
    await tab.run(`document.getElementById('steps').focus()`);
    await tab.press('Enter');
    await tab.until(`/^2 pictures|^3 pictures/.test(document.getElementById('status').textContent)`, TIMEOUT);
    expect(await tab.run(`document.querySelectorAll('#pictures canvas[aria-label^="Picture of class"]').length`)).toBe(
      3,
    );
    await tab.run(`document.getElementById('tab-draw').focus()`);
    await tab.press('ArrowRight');
    expect(await tab.run('document.activeElement.id')).toBe('tab-train');
    await tab.press('End');
    expect(await tab.run(`document.getElementById('inside').hidden`)).toBe(false);
    await tab.run(`document.querySelector('#kernels summary').click()`);
    await tab.until(`/@compute/.test(document.querySelector('#kernels pre')?.textContent)`);
    await tab.close();
  });

  it('without WebGPU says what to do', async () => {
    const tab = await browser.open('about:blank');
    await tab.send('Page.enable');
    await tab.send('Page.addScriptToEvaluateOnNewDocument', {
      source: `Object.defineProperty(Navigator.prototype, 'gpu', { get: () => undefined })`,
    });
    await tab.send('Page.navigate', { url: server.url });
    await tab.until(`!document.getElementById('problem').hidden`);
    expect(await tab.text()).toMatch(/This model cannot run here[^]*has no WebGPU[^]*chrome:\/\/flags/);
    expect(await tab.run(`document.getElementById('problem').getAttribute('role')`)).toBe('alert');
    await tab.close();
  });
});
