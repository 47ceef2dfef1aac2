/**
 * Training at a glance: one HTML file that needs no network, made from the records of `metrics.jsonl` and pictures of samples.
 * What the charts show is decided here; metrics-page/client.js only draws it, with uPlot.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { MetricsRecord } from './metrics.ts';
import { clock, grouped } from './text.ts';

export interface SampleGrid {
  readonly step: number;
  /** A `data:` URI or a path relative to the page. */
  readonly src: string;
}

export interface PageOptions {
  readonly title: string;
  /** Steps of the diffusion process, which the buckets divide. */
  readonly timesteps: number;
  readonly samples?: readonly SampleGrid[];
}

export const pngUri = (png: Uint8Array): string => `data:image/png;base64,${Buffer.from(png).toString('base64')}`;

type Values = (number | null)[];

interface Series {
  readonly label: string;
  readonly values: Values;
  /** A noisy measurement, its running mean, or the k-th of an ordered family (0 to 1). */
  readonly kind: 'raw' | 'smooth' | number;
}

interface Chart {
  readonly title: string;
  readonly log: boolean;
  readonly series: readonly Series[];
}

/** More points than any screen has columns; beyond it neighbours are averaged. */
const MOST_POINTS = 2000;
/** Fewer records than this are drawn as they are. */
const LEAST_SMOOTHED = 40;

/** The page's text. */
export function metricsPage(records: readonly MetricsRecord[], options: PageOptions): string {
  const { title, samples = [] } = options;
  const data = { x: binned(records, (r) => r.step), charts: chartsOf(records, options.timesteps) };
  const body = records.length
    ? `<dl>${facts(records).join('')}</dl>\n${gallery(samples)}<main id="charts"></main>`
    : `${gallery(samples)}<p>No step has been recorded yet.</p>`;
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>${escape(title)}</title>
<style>${library('uPlot.min.css')}${own('style.css')}</style>
<h1>${escape(title)}</h1>
${body}
<script type="application/json" id="data">${JSON.stringify(data).replaceAll('<', '\\u003c')}</script>
<script>${library('uPlot.iife.min.js')}</script>
<script>${own('client.js')}</script>
</html>
`;
}

const resolve = createRequire(import.meta.url).resolve;
const library = (name: string): string => readFileSync(resolve(`uplot/dist/${name}`), 'utf8');
const own = (name: string): string => readFileSync(new URL(`./metrics-page/${name}`, import.meta.url), 'utf8');

const escape = (text: string): string => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

function facts(records: readonly MetricsRecord[]): string[] {
  const last = records[records.length - 1];
  const seconds = (Date.parse(last.wall.time) - Date.parse(records[0].wall.time)) / 1000;
  const number = (value: number | null) => (value === null ? 'not finite' : value.toPrecision(4));
  const shown: [string, string][] = [
    ['step', grouped(last.step)],
    ['epoch', grouped(last.epoch)],
    ['loss', number(last.loss)],
    ['images per second', last.wall.imagesPerSecond.toPrecision(3)],
  ];
  if (seconds > 0) shown.push(['since the first record', clock(seconds)]);
  return shown.map(([name, value]) => `<div><dt>${name}</dt><dd>${escape(value)}</dd></div>`);
}

/** Latest first: it is what one looks for. */
function gallery(samples: readonly SampleGrid[]): string {
  if (!samples.length) return '';
  const figures = [...samples]
    .sort((a, b) => b.step - a.step)
    .map(({ step, src }) => {
      const name = `step ${grouped(step)}`;
      return `<figure><img src="${escape(src)}" alt="Samples at ${name}"><figcaption>${name}</figcaption></figure>`;
    });
  return `<section class="samples" aria-label="Samples">${figures.join('')}</section>\n`;
}

function chartsOf(records: readonly MetricsRecord[], timesteps: number): Chart[] {
  const measured = (label: string, pick: (r: MetricsRecord) => number | null): Series[] => {
    const raw: Series = { label, values: binned(records, pick), kind: 'raw' };
    if (records.length < LEAST_SMOOTHED) return [raw];
    return [raw, { label: 'running mean', values: smoothed(raw.values), kind: 'smooth' }];
  };
  const chart = (title: string, series: readonly Series[], log: boolean): Chart => ({
    title,
    series,
    log: log && spansDecade(series),
  });
  const charts = [
    chart(
      'MSE',
      measured('mse', (r) => r.mse),
      true,
    ),
    chart(
      'Variational bound',
      measured('vb', (r) => r.vb),
      true,
    ),
    chart('MSE by timestep', bucketSeries(records, 'mse', timesteps), true),
    chart('Variational bound by timestep', bucketSeries(records, 'vb', timesteps), true),
    chart(
      'Loss',
      measured('loss', (r) => r.loss),
      true,
    ),
    chart('Loss on held-out examples', held(records), true),
    ...[...new Set(records.flatMap(({ more = {} }) => Object.keys(more)))].map((name) =>
      chart(
        titleOf(name),
        measured(name, (r) => r.more?.[name] ?? null),
        true,
      ),
    ),
    chart(
      'Gradient norm',
      measured('norm', (r) => r.gradNorm),
      true,
    ),
    chart('Learning rate', [{ label: 'lr', values: binned(records, (r) => r.lr), kind: 'raw' }], false),
    chart('Loss scale', [{ label: 'scale', values: binned(records, (r) => r.lossScale ?? null), kind: 'raw' }], true),
    chart(
      'Images per second',
      measured('images/s', (r) => r.wall.imagesPerSecond),
      false,
    ),
  ];
  return charts.filter(({ series }) => series.some(({ values }) => values.some((value) => value !== null)));
}

/** Measured at few of the records, and drawn from one to the next. */
const held = (records: readonly MetricsRecord[]): Series[] => [
  { label: 'held out', values: binned(records, ({ val }) => val ?? null), kind: 0 },
];

/** Names of outputs that are abbreviations, as a heading has them. */
const TITLES: Readonly<Record<string, string>> = { kl: 'KL divergence, nats per image', psnr: 'PSNR, dB' };

const titleOf = (name: string): string => TITLES[name] ?? name[0].toUpperCase() + name.slice(1);

/** Whether a log scale shows more: all values are above 0 and the largest is ten times the smallest. */
function spansDecade(series: readonly Series[]): boolean {
  let [least, most] = [Infinity, 0];
  for (const { values } of series) {
    for (const value of values) {
      if (value === null) continue;
      least = Math.min(least, value);
      most = Math.max(most, value);
    }
  }
  return least > 0 && most > 10 * least;
}

/** A line per slice of the timesteps. */
function bucketSeries(records: readonly MetricsRecord[], of: 'mse' | 'vb', timesteps: number): Series[] {
  const count = Math.max(0, ...records.map((r) => r.buckets?.[of]?.length ?? 0));
  return Array.from({ length: count }, (_, k) => {
    const edge = (i: number) => Math.ceil((i * timesteps) / count);
    const values = binned(records, (r) => r.buckets?.[of]?.[k] ?? null);
    return {
      label: `t ${edge(k)}–${edge(k + 1) - 1}`,
      values: records.length < LEAST_SMOOTHED ? values : smoothed(values),
      kind: count > 1 ? k / (count - 1) : 0,
    };
  });
}

/** A value per record, or the means of equal runs of records where there are too many. */
function binned(records: readonly MetricsRecord[], pick: (r: MetricsRecord) => number | null): Values {
  const bins = Math.min(records.length, MOST_POINTS);
  return Array.from({ length: bins }, (_, bin) => {
    const from = Math.floor((bin * records.length) / bins);
    const to = Math.floor(((bin + 1) * records.length) / bins);
    let [sum, count] = [0, 0];
    for (let i = from; i < to; i++) {
      const value = pick(records[i]);
      if (value === null || !Number.isFinite(value)) continue;
      sum += value;
      count++;
    }
    return count ? Number((sum / count).toPrecision(6)) : null;
  });
}

/** Means over a fiftieth of the points about each, fewer near the ends so that none leans to one side. Gaps stay gaps. */
function smoothed(values: Values): Values {
  const reach = Math.ceil(values.length / 100);
  return values.map((value, i) => {
    if (value === null) return null;
    const half = Math.min(reach, i, values.length - 1 - i);
    const near = values.slice(i - half, i + half + 1).filter((v) => v !== null);
    return Number((near.reduce((a, b) => a + b, 0) / near.length).toPrecision(6));
  });
}
