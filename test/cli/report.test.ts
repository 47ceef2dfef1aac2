/**
 * report.html: one file that needs nothing else, and a page that works.
 * @once
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { scriptJson } from '../../compiler/report/html.ts';
import type { ReportData } from '../../compiler/report/data.ts';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { findBrowser, loadPage } from '../helpers/browser.ts';
import { engines, need } from '../helpers/engines.ts';
import { ditc, SMALL_DIT } from './cli.ts';

const folder = scratchFolder();
const [chromium] = engines;

/** A model whose text would end a careless script element. */
const HOSTILE = `${SMALL_DIT}// </script><script>alert(1)</script> <!-- \u2028\n`;

let cwd: string;
let html: string;
let data: ReportData;

beforeAll(async () => {
  cwd = folder({ 'small.ts': HOSTILE, 'package.json': '{}' });
  const built = await ditc(['build', 'small.ts', '--out', 'built'], cwd);
  expect(built).toMatchObject({ code: 0, err: '' });
  expect(built.out).toMatch(/wrote +built\/ — open report\.html to look inside/);
  html = readFileSync(join(cwd, 'built/report.html'), 'utf8');
  data = JSON.parse(/<script id="data" type="application\/json">(.*?)<\/script>/s.exec(html)![1]) as ReportData;
});

describe('report.html', () => {
  it('is one file: it loads nothing, and names no place on this machine', () => {
    const page = html.replace(/<script id="data".*?<\/script>/s, '');
    expect(page).not.toMatch(/\bsrc=|<link[^>]*href="(?!data:)|@import|url\((?!#)|fetch\(|XMLHttpRequest|\bimport\(/);
    expect(page.match(/https?:\/\/[^'"\s]+/g)).toEqual(['http://www.w3.org/2000/svg']);
    expect(html).not.toContain(cwd);
  });

  it('has the same bytes when built again', async () => {
    await ditc(['build', 'small.ts', '--out', 'again'], cwd);
    expect(readFileSync(join(cwd, 'again/report.html'), 'utf8')).toBe(html);
  });

  it('holds the source of the model and its kernels, whatever is in them', () => {
    expect(Object.keys(data.sources).sort()).toEqual(expect.arrayContaining(['models/dit.ts', 'small.ts']));
    expect(data.sources['small.ts']).toBe(HOSTILE);
    expect(scriptJson('</script>\u2028')).toBe('"\\u003c/script>\\u2028"');
    for (const { name, wgsl } of data.kernels) {
      expect(`${wgsl}\n`).toBe(readFileSync(join(cwd, `built/kernels/${name}.wgsl`), 'utf8'));
    }
  });

  it('agrees with the manifest', () => {
    const { entries } = JSON.parse(readFileSync(join(cwd, 'built/manifest.json'), 'utf8'));
    expect(Object.keys(data.entries)).toEqual(Object.keys(entries));
    for (const [name, entry] of Object.entries(data.entries)) {
      const { dispatches, memory, macs } = entries[name];
      expect(entry.dispatches.map(({ kernel }) => kernel)).toEqual(dispatches.map((d: { kernel: string }) => d.kernel));
      expect(entry.macs).toBe(macs);
      expect(entry.costs.reduce((sum, row) => sum + row.share, 0)).toBeCloseTo(1, 10);
      const ends = entry.memory.blocks.map(({ arena, offset, size }) => offset + size <= entry.memory.arenas[arena]);
      expect(ends.every(Boolean)).toBe(true);
      expect(entry.memory.peak).toBe(memory.activationPeakBytes);
      for (const picture of [entry.kernels, entry.ops]) {
        for (const box of [...picture.nodes, ...picture.groups]) {
          expect(box.x >= 0 && box.x + box.width <= picture.width + 16).toBe(true);
          expect(box.y >= 0 && box.y + box.height <= picture.height + 16).toBe(true);
        }
      }
    }
  });

  it('draws boxes that do not overlap', () => {
    for (const { kernels } of Object.values(data.entries)) {
      kernels.nodes.forEach((a, i) => {
        for (const b of kernels.nodes.slice(i + 1)) {
          const apart = a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y;
          expect(apart, `${a.title} and ${b.title}`).toBe(true);
        }
      });
    }
  });
});

/** Whose entry has no dispatch of its own. */
const LOOPED = `import { defineModel, foriLoop } from 'ditc/dsl';
export default defineModel({ config: {}, entries: {
  forward: (e) => ({ y: foriLoop(3, (x) => foriLoop(5, (z) => z.matmul(x), x), e.input('x', [4, 4])) }),
} });`;

const FOLLOW = `
  const text = (id) => document.getElementById(id).textContent;
  const found = { first: location.hash, facts: text('facts'), none: text('kernel') };
  document.querySelector('#costs tbody tr').click();
  found.then = location.hash;
  document.title = JSON.stringify(found);
`;

describe('a loop in the report', () => {
  let looped: ReportData;
  let page: string;
  beforeAll(async () => {
    const where = folder({ 'looped.ts': LOOPED, 'package.json': '{}' });
    expect(await ditc(['build', 'looped.ts', '--out', 'built'], where)).toMatchObject({ code: 0 });
    page = readFileSync(join(where, 'built/report.html'), 'utf8');
    looped = JSON.parse(/<script id="data" type="application\/json">(.*?)<\/script>/s.exec(page)![1]) as ReportData;
  });

  it('costs what all of its turns do, in the entry that it is in', () => {
    const { dispatches, costs, macs, parts } = looped.entries.forward;
    expect(dispatches).toEqual([]);
    expect(parts.map(({ times }) => times)).toContain(3);
    expect(macs).toBe(15 * 4 ** 3);
    expect(costs.find((row) => row.macs > 0)).toMatchObject({ uses: 15, macs });
    expect(costs.reduce((sum, row) => sum + row.share, 0)).toBeCloseTo(1, 10);
  });

  it('is a click away from its cost', async ({ skip }) => {
    need(chromium, skip);
    const file = join(cwd, 'looped.html');
    writeFileSync(file, page.replace('</body>', `<script>${FOLLOW}</script></body>`));
    const { dom, console: errors } = await loadPage(findBrowser()!, file, '1400,900');
    expect(errors).toEqual([]);
    const [, json] = /<title>(.*?)<\/title>/s.exec(dom)!;
    const found = JSON.parse(json) as Record<string, string>;
    const [row] = [...looped.entries.forward.costs].sort((a, b) => b.share - a.share);
    expect(found.first).toBe('#forward/kernels/');
    expect(found.facts).toContain('3 turns of');
    expect(found.none).toContain('no kernel of its own');
    expect(found.then).toBe(`#${row.entry}/kernels/${row.kernel}`);
  });
});

/** Goes through the page as a visitor would and writes down what it finds. */
const VISIT = `
  const found = [];
  for (const tab of document.querySelectorAll('#entries button')) {
    tab.click();
    for (const which of ['ops', 'kernels']) {
      document.querySelector('[data-picture=' + which + ']').click();
      const boxes = [...document.querySelectorAll('#graph g[data-dispatch]')];
      const last = boxes[boxes.length - 1];
      last.dispatchEvent(new MouseEvent('click', { bubbles: true }));
      found.push({
        entry: tab.textContent, which, boxes: boxes.length,
        edges: document.querySelectorAll('#graph .edge').length,
        kernel: document.getElementById('kernel').dataset.kernel,
        wgsl: document.querySelector('.wgsl').textContent,
        hits: document.querySelectorAll('.source .hit').length,
        rows: document.querySelectorAll('#costs tbody tr').length,
        blocks: document.querySelectorAll('#memory .block').length,
      });
    }
  }
  document.querySelector('#costs th button').click();
  document.querySelector('[data-zoom=in]').click();
  const names = [...document.querySelectorAll('#costs tbody tr')].map((row) => row.dataset.kernel);
  const wide = document.documentElement.scrollWidth > innerWidth;
  document.title = 'visited';
  const made = document.createElement('script');
  made.type = 'application/json';
  made.id = 'visit';
  made.textContent = JSON.stringify({ found, names, wide }).replace(/</g, '\\\\u003c');
  document.body.append(made);
`;

describe(`the page in ${chromium.title}`, () => {
  beforeEach(({ skip }) => need(chromium, skip));

  it.each(['1400,900', '900,800'])('shows every entry, picture and kernel without an error, at %s', async (window) => {
    const file = join(cwd, `visit-${window.replace(',', 'x')}.html`);
    writeFileSync(file, html.replace('</body>', `<script>${VISIT}</script></body>`));
    const page = await loadPage(findBrowser()!, file, window);
    expect(page.console).toEqual([]);
    const text = /<script type="application\/json" id="visit">(.*?)<\/script>/s.exec(page.dom)![1];
    const { found, names, wide } = JSON.parse(text);
    expect(found).toHaveLength(2 * Object.keys(data.entries).length);
    for (const seen of found) {
      const entry = data.entries[seen.entry];
      expect(seen.boxes).toBeGreaterThan(0);
      expect(seen.edges).toBe(entry[seen.which as 'ops' | 'kernels'].edges.length);
      const kernel = data.kernels.find(({ name }) => name === seen.kernel)!;
      expect(seen.wgsl).toBe(kernel.wgsl.split('\n').join(''));
      expect(seen.rows).toBe(entry.costs.length);
      expect(seen.blocks).toBe(entry.memory.arenas.length ? entry.memory.blocks.length : 0);
    }
    expect(found.some(({ hits }: { hits: number }) => hits > 0)).toBe(true);
    expect(names).toEqual([...names].sort());
    expect(wide).toBe(false);
  });
});
