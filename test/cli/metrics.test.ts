/** `metrics.jsonl`: what a resumed run leaves equals what an unbroken one does; and the page made from it. */
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { metricsPage, pngUri } from '../../cli/metrics-page.ts';
import { MetricsWriter, readMetrics, type MetricsRecord } from '../../cli/metrics.ts';
import { DitcError } from '../../compiler/ir/error.ts';

const folder = mkdtempSync(join(tmpdir(), 'ditc-metrics-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const record = (step: number, more: Partial<MetricsRecord> = {}): MetricsRecord => ({
  step,
  epoch: 0,
  loss: 1 / step,
  mse: 0.9 / step,
  vb: 0.1 / step,
  gradNorm: 1,
  lr: 1e-4,
  wall: { time: new Date(1e12 + step * 1000).toISOString(), imagesPerSecond: 10 },
  ...more,
});

describe('MetricsWriter', () => {
  let serial = 0;
  const path = () => join(folder, `${serial++}.jsonl`);
  const write = (file: string, after: number, steps: number[]) => {
    const writer = new MetricsWriter(file, after);
    for (const step of steps) writer.add(record(step));
  };

  it('leaves the same file after a crash and a resumption as without', () => {
    const [whole, broken] = [path(), path()];
    write(whole, 0, [10, 20, 30, 40]);
    write(broken, 0, [10, 20, 30]);
    appendFileSync(broken, '{"step":40,"lo'); // the power went
    write(broken, 20, [30, 40]); // from a checkpoint of step 20
    expect(readFileSync(broken, 'utf8')).toBe(readFileSync(whole, 'utf8'));
    expect(readMetrics(broken).map(({ step }) => step)).toEqual([10, 20, 30, 40]);
  });

  it('begins anew from step 0, and keeps all from a later step', () => {
    const file = path();
    write(file, 0, [10, 20]);
    write(file, 25, [30]);
    expect(readMetrics(file).map(({ step }) => step)).toEqual([10, 20, 30]);
    write(file, 0, [10]);
    expect(readMetrics(file)).toEqual([record(10)]);
  });

  it('drops a last line without its end, even if it could be read', () => {
    const file = path();
    write(file, 0, [10]);
    appendFileSync(file, JSON.stringify(record(20)));
    expect(readMetrics(file)).toHaveLength(1);
    write(file, 20, [30]);
    expect(readMetrics(file).map(({ step }) => step)).toEqual([10, 30]);
  });

  it('stores what is not finite as null', () => {
    const file = path();
    new MetricsWriter(file, 0).add(record(1, { loss: NaN, gradNorm: Infinity }));
    expect(readMetrics(file)[0]).toMatchObject({ loss: null, gradNorm: null });
  });

  it('touches no file that holds something else', () => {
    const file = path();
    for (const text of ['step,loss\n1,0.5\n', `${JSON.stringify(record(1))}\n{}\n`, 'null\n']) {
      writeFileSync(file, text);
      expect(() => new MetricsWriter(file, 0)).toThrow(/jsonl:\d: the line is no record of metrics/);
      expect(readFileSync(file, 'utf8')).toBe(text);
    }
  });

  it('says where it cannot write, and refuses steps that go back', () => {
    expect(() => new MetricsWriter(join(folder, 'no', 'such.jsonl'), 0)).toThrow(DitcError);
    const writer = new MetricsWriter(path(), 10);
    expect(() => writer.add(record(10))).toThrow(/step 10 after 10/);
  });
});

describe('metricsPage', () => {
  const page = (records: MetricsRecord[], more = {}) =>
    metricsPage(records, { title: 'run', timesteps: 1000, ...more });
  const dataOf = (html: string) => JSON.parse(/id="data">(.*?)<\/script>/s.exec(html)![1]);
  const charts = (html: string): { title: string; log: boolean; series: { label: string; values: number[] }[] }[] =>
    dataOf(html).charts;
  const many = (n: number, more: (i: number) => Partial<MetricsRecord> = () => ({})) =>
    Array.from({ length: n }, (_, i) => record(i + 1, more(i)));

  it('needs no network, and its scripts parse', () => {
    const html = page(many(3), { samples: [{ step: 2, src: pngUri(Uint8Array.of(1, 2)) }] });
    expect(html).not.toMatch(/(src|href)=["']?(https?:)?\/\//);
    expect(html).not.toMatch(/@import|url\(/);
    expect(html).toContain('src="data:image/png;base64,AQI="');
    const scripts = [...html.matchAll(/<script>(.*?)<\/script>/gs)];
    expect(scripts).toHaveLength(2);
    for (const [, text] of scripts) expect(() => new Function(text)).not.toThrow();
  });

  it('shows MSE and the variational bound apart, and by slices of the timesteps', () => {
    const buckets = { mse: [4, 1, null, 0.1], vb: [0.4, 0.1, 0.2, 0.01] };
    const shown = charts(page(many(2, () => ({ buckets }))));
    expect(shown.map(({ title }) => title)).toEqual([
      'MSE',
      'Variational bound',
      'MSE by timestep',
      'Variational bound by timestep',
      'Loss',
      'Gradient norm',
      'Learning rate',
      'Images per second',
    ]);
    expect(shown[0].series[0].values).toEqual([0.9, 0.45]);
    expect(shown[2].series.map(({ label }) => label)).toEqual(['t 0–249', 't 250–499', 't 500–749', 't 750–999']);
    expect(shown[2].series[2].values).toEqual([null, null]);
    expect(shown[2].log).toBe(true);
    expect(charts(page(many(2))).map(({ title }) => title)).not.toContain('MSE by timestep');
  });

  it('takes a log scale only where it shows more', () => {
    const log = (values: number[]) => charts(page(many(values.length, (i) => ({ loss: values[i] }))))[2].log;
    expect(log([1, 0.05])).toBe(true);
    expect(log([1, 0.5])).toBe(false);
    expect(log([1, -0.01])).toBe(false);
  });

  it('averages what is more than a screen has columns, gaps left out', () => {
    const html = page(many(10_000, (i) => ({ loss: i % 5 === 0 ? null : 2 })));
    const loss = charts(html).find(({ title }) => title === 'Loss')!;
    expect(dataOf(html).x).toHaveLength(2000);
    expect(new Set(loss.series[0].values)).toEqual(new Set([2]));
    expect(new Set(loss.series[1].values)).toEqual(new Set([2]));
  });

  it('smooths without bending a straight line', () => {
    const { series } = charts(page(many(500, (i) => ({ mse: 1 + i }))))[0];
    expect(series[1].values).toEqual(series[0].values);
  });

  it('is safe with any title, and with nothing to show', () => {
    const html = page([], { title: '</title><script>alert(1)</script>' });
    expect(html).not.toContain('alert(1)</script>');
    expect(html).toContain('No step has been recorded yet');
    expect(page([record(1, { loss: null })])).toContain('not finite');
  });

  it('shows the latest samples first', () => {
    const samples = [5, 300, 20].map((step) => ({ step, src: `samples/${step}.png` }));
    const html = page(many(2), { samples });
    expect([...html.matchAll(/src="samples\/(\d+)\.png"/g)].map(([, step]) => step)).toEqual(['300', '20', '5']);
  });
});
