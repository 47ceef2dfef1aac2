/**
 * What a visitor of the page that comes with a build does, in Chromium: by keyboard, on a phone, with a screen reader; draws, trains, keeps
 * a checkpoint. Under the policy that docs/web.md promises.
 * @once
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { recordIn } from '../../cli/train/record.ts';
import { checkSameModel } from '../../cli/train/same-model.ts';
import { sha256 } from '../../compiler/emit/digest.ts';
import type { WebFiles } from '../../library/web/build.ts';
import { openCheckpointFile } from '../../runtime/node/checkpoint.ts';
import type { VariantFile } from '../../runtime/web/model-file.ts';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { findBrowser } from '../helpers/browser.ts';
import { Chromium, type Tab } from '../helpers/chromium.ts';
import { engines, need } from '../helpers/engines.ts';
import { POLICY, serve, type Served } from '../helpers/web-page.ts';
import { BATCH, builtWithTrainer, network, withModel } from './fixture.ts';

const [chromium] = engines;
const TIMEOUT = 300_000;

const LINES = ['small.ts:3:7', 'small.ts:4:9'];

/** A build whose kernels know their lines, as those of a model file do; a model that is imported has none. */
function withLines({ files, model }: WebFiles<Uint8Array>) {
  const [base] = model.variants.slice(-1);
  const code = JSON.parse(String(files.get(base.code.file))) as VariantFile;
  for (const entry of Object.values(code.artefact.manifest.entries))
    for (const dispatch of entry.dispatches) Object.assign(dispatch, { source: LINES });
  const text = JSON.stringify(code);
  const stored = { file: 'code/lines.json', bytes: Buffer.byteLength(text), sha256: sha256(text) };
  return withModel(new Map([...files, [stored.file, text]]), { ...model, variants: [{ ...base, code: stored }] });
}

describe(`a visitor in ${chromium.title}`, { timeout: TIMEOUT }, () => {
  beforeEach(({ skip }) => need(chromium, skip));
  const scratch = scratchFolder();
  let browser: Chromium;
  let server: Served;
  let tab: Tab;
  const status = (part: string) => `document.querySelector('#${part} .status').textContent`;
  const click = (id: string) => tab.run(`document.getElementById('${id}').click()`);
  const downloadTo = (downloadPath: string) =>
    browser.send('Browser.setDownloadBehavior', { behavior: 'allow', browserContextId: tab.context, downloadPath });
  const pngIn = (url: string) => Buffer.from(url.slice('data:image/png;base64,'.length), 'base64');
  beforeAll(async () => {
    if (chromium.missing) return;
    server = await serve(withLines(await builtWithTrainer()));
    browser = new Chromium(findBrowser()!);
    tab = await browser.open('about:blank');
    await tab.send('Page.enable');
    await tab.send('Page.addScriptToEvaluateOnNewDocument', {
      source: `window.refused = []; document.addEventListener('securitypolicyviolation', (event) => refused.push(event.violatedDirective))`,
    });
    const phone = { width: 360, height: 740, deviceScaleFactor: 1, mobile: true };
    await tab.send('Emulation.setDeviceMetricsOverride', phone);
    await tab.send('Page.navigate', { url: server.url });
    await tab.until(`${status('draw')} === 'ready'`, TIMEOUT);
  }, TIMEOUT);
  afterAll(async () => {
    await browser?.close();
    server?.close();
  });

  it('is used by keyboard, told to screen readers, and fits a phone', async () => {
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
    await tab.until(`/^3 pictures in/.test(document.querySelector('#draw .status').textContent)`, TIMEOUT);
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
  });

  it('draws what is to be seen at every step, and saves it', async () => {
    await click('tab-draw');
    await tab.run(`window.said = [], window.painted = new Set();
      const status = document.querySelector('#draw .status');
      new MutationObserver(() => {
        said.push(status.textContent);
        // What is told of is painted.
        for (const canvas of document.querySelectorAll('#pictures canvas')) painted.add(canvas.toDataURL());
      }).observe(status, { childList: true })`);
    await click('start');
    await tab.until(`/^3 pictures in/.test(${status('draw')})`, TIMEOUT);
    const said = await tab.run<string[]>('said');
    const steps = said.filter((text) => text.startsWith('step'));
    expect(steps[0]).toBe('step 1 of 4');
    for (const i of [1, 2, 3]) expect(steps[i]).toMatch(new RegExp(`^step ${i + 1} of 4, [\\d.]+ m?s a step$`));
    const drawn = await tab.run<string[]>(
      `[...document.querySelectorAll('#pictures canvas')].map((c) => c.toDataURL())`,
    );
    // All steps of all pictures, but for those that two steps show alike, to 8 bits.
    expect(await tab.run<number>('painted.size')).toBeGreaterThan(2 * drawn.length);

    const folder = scratch({});
    await downloadTo(folder);
    await click('save');
    await vi.waitFor(() => expect(readdirSync(folder)).toEqual(['pictures.png']), 10_000);
    const [sheet, ...own] = await Promise.all(
      [join(folder, 'pictures.png'), ...drawn.map(pngIn)].map((png) => sharp(png).removeAlpha().raw().toBuffer()),
    );
    // In a row: of each line of the sheet, those of the pictures.
    const line = (picture: Buffer, y: number) => picture.subarray(y * 24, (y + 1) * 24);
    const rows = Array.from({ length: 8 }, (_, y) => Buffer.concat(own.map((picture) => line(picture, y))));
    expect(Buffer.compare(sheet, Buffer.concat(rows))).toBe(0);
  });

  it('is told what runs: the GPU, the memory, and each kernel with its lines of the model', async () => {
    await click('tab-inside');
    const facts = await tab.run<string>(`document.getElementById('facts').innerText`);
    expect(facts).toMatch(/google-swiftshader[^]*base[^]*weights, batch 4, f32[^]*KiB on the GPU/);
    expect(await tab.run(`document.getElementById('fused').innerText`)).toMatch(
      /^\d+ operations .* in \d+ runs of \d+ kernels$/,
    );
    await tab.run(`window.kernel = [...document.querySelectorAll('#kernels details')].find((one) => /qkv/.test(one.innerText));
      void (kernel.open = true)`);
    await tab.until(`/@compute/.test(kernel.querySelector('pre')?.textContent)`);
    expect(await tab.run(`kernel.querySelector('p').textContent`)).toBe(LINES.join(', '));
  });

  it('trains as its Train tab is told, saves a checkpoint and opens it, and draws as before', async () => {
    const drawn = async () => {
      await tab.run(`document.querySelector('#draw .status').textContent = ''`);
      await click('tab-draw');
      await click('start');
      await tab.until(`/^3 pictures in/.test(${status('draw')})`, TIMEOUT);
      const all = `Promise.all([...document.querySelectorAll('#pictures canvas')].map((canvas) => canvas.toDataURL()))`;
      return tab.run<string[]>(all);
    };
    const before = await drawn();
    await click('tab-train');
    expect(await tab.run('document.documentElement.scrollWidth')).toBe(360);
    await tab.run(`window.shares = [], document.getElementById('every').value = 2;
      const progress = document.querySelector('#train progress');
      new MutationObserver(() => shares.push(progress.value)).observe(progress, { attributes: true })`);
    await click('go');
    await tab.until(`document.querySelector('#samples figure')`, TIMEOUT);
    await click('go');
    await tab.until(`/^paused after step/.test(${status('train')})`, TIMEOUT);
    const shares = await tab.run<number[]>('shares');
    expect(shares.filter((share) => share > 0 && share < 1).length).toBeGreaterThan(2);
    expect(await tab.run(`document.getElementById('measured').innerText`)).toMatch(/loss\s+\d/);
    expect(await tab.run(`document.querySelectorAll('#samples figure:last-child canvas').length`)).toBe(BATCH);
    expect(await tab.run(`document.getElementById('losses').clientHeight`)).toBeGreaterThan(100);

    const folder = scratch({});
    await downloadTo(folder);
    await click('checkpoint');
    await tab.until(`/^checkpoint of step/.test(${status('train')})`);
    const step = Number(/\d+/.exec(await tab.run(status('train'))));
    const name = `${String(step).padStart(7, '0')}.safetensors`;
    await vi.waitFor(() => expect(readdirSync(folder)).toEqual([name]), 10_000);
    const file = await openCheckpointFile(join(folder, name));
    checkSameModel(network, 'small', recordIn(file), name);
    await file.close();

    const { root } = await tab.send<{ root: { nodeId: number } }>('DOM.getDocument');
    const input = await tab.send<{ nodeId: number }>('DOM.querySelector', { nodeId: root.nodeId, selector: '#file' });
    await tab.send('DOM.setFileInputFiles', { nodeId: input.nodeId, files: [join(folder, name)] });
    await tab.until(`${status('train')} === '${name} is open: training goes on after step ${step}'`);
    expect(await tab.run(`document.getElementById('losses').hidden`)).toBe(true);
    await click('go');
    await tab.until(`Number(document.querySelector('#measured dd')?.textContent) > ${step}`, TIMEOUT);
    await click('go');
    await tab.until(`/^paused after step/.test(${status('train')})`, TIMEOUT);
    expect(await drawn()).toEqual(before);
  });

  it('keeps to its policy, which the server sends', async () => {
    expect(await tab.run(`fetch('./').then(({ headers }) => headers.get('content-security-policy'))`)).toBe(POLICY);
    expect(await tab.run('refused')).toEqual([]);
    // And what does not is told.
    await tab.run(
      `void document.body.append(Object.assign(new Image(), { src: 'data:image/gif;base64,R0lGODlhAQABAAAAACw=' }))`,
    );
    await tab.until('refused.length');
    expect(await tab.run('refused[0]')).toBe('img-src');
  });

  it('without WebGPU says what to do', async () => {
    const tab = await browser.open('about:blank');
    await tab.send('Page.enable');
    await tab.send('Page.addScriptToEvaluateOnNewDocument', {
      source: `Object.defineProperty(Navigator.prototype, 'gpu', { get: () => undefined })`,
    });
    await tab.send('Page.navigate', { url: server.url });
    await tab.until(`!document.querySelector('#loading .problem').hidden`);
    expect(await tab.text()).toMatch(/This model cannot run here[^]*has no WebGPU[^]*chrome:\/\/flags/);
    expect(await tab.run(`document.querySelector('#loading .problem').getAttribute('role')`)).toBe('alert');
    await tab.close();
  });
});
