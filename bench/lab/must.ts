/** What the kernels of RESULTS.md must reach, each with the worst figure that there is. */
import type { Row } from './isa.ts';

/** The rows of one entry of a model: one for each loop that multiplies, a kernel's hottest first. */
export interface Section {
  readonly model: string;
  readonly entry: string;
  readonly batch: number;
  readonly dtype: 'f32' | 'f16';
  readonly rows: readonly Row[];
}

/** A figure and the bound that it must keep. */
interface Bound {
  readonly of: (row: Row) => number | undefined;
  readonly least?: number;
  readonly most?: number;
  readonly unit: string;
}

interface Must {
  readonly what: string;
  readonly counts: (section: Section, row: Row) => boolean;
  readonly bounds: readonly Bound[];
}

/** Products of less than that share of what an entry multiplies decide nothing. */
const LEAST_SHARE = 0.01;

const speed = (least: number): Bound => ({ of: (row) => row.macPerInstruction, least, unit: 'mac/inst' });
const lds = (most: number): Bound => ({ of: (row) => row.ldsBytesPerMac, most, unit: 'LDS B/mac' });
const SPILLS: Bound = { of: (row) => row.spills, most: 0, unit: 'spills' };
const BEYOND: Bound = { of: (row) => row.beyond, most: 0.1, unit: 'of the loads' };

const FIGURE: Bound = { of: (row) => row.macPerInstruction, unit: 'mac/inst' };

const isHottest = ({ rows }: Section, row: Row) => rows.find(({ name }) => name === row.name) === row;

/** Products that count, of models whose names begin so. */
const products =
  (model: string, dtype: Section['dtype'], counts: (share: number) => boolean = (share) => share >= LEAST_SHARE) =>
  (section: Section, row: Row): boolean => {
    if (!section.model.startsWith(model) || section.dtype !== dtype || !row.plan?.startsWith('product')) return false;
    const whole = section.rows.reduce((sum, one) => sum + (isHottest(section, one) ? (one.macs ?? 0) : 0), 0);
    return isHottest(section, row) && counts((row.macs ?? 0) / whole);
  };

/** Attention by a plan: its hottest loop. */
const attention =
  (plan: string) =>
  (section: Section, row: Row): boolean =>
    row.plan === plan && isHottest(section, row);

/** The same on matrix units, of models whose names begin so: each loop that asks for these. */
const attentionLoops =
  (plan: string, model: string) =>
  (section: Section, row: Row): boolean =>
    section.model.startsWith(model) && row.plan === plan && (row.loop?.matrix ?? 0) > 0;

const MUSTS: readonly Must[] = [
  {
    what: 'f32 products of DiT and their two gradients, batch 1 and 8',
    counts: products('dit', 'f32'),
    bounds: [speed(0.8), lds(1)],
  },
  {
    what: 'f16 products on fragments and their two gradients',
    counts: products('dit', 'f16'),
    bounds: [speed(18), lds(0.2), SPILLS],
  },
  { what: 'attention f32, forward', counts: attention('attention-tiled'), bounds: [speed(0.5)] },
  { what: 'attention f32, backward', counts: attention('attention-gradient-tiled'), bounds: [speed(0.45)] },
  ...(
    [
      [64, 'dit-s'],
      [72, 'dit-xl'],
      [128, 'head-128'],
    ] as const
  ).flatMap(([head, model]): Must[] => [
    {
      what: `attention on fragments, head ${head}, forward, each loop`,
      counts: attentionLoops('attention-fragments', model),
      bounds: [speed(8)],
    },
    {
      what: `attention on fragments, head ${head}, backward, each loop`,
      counts: attentionLoops('attention-gradient-fragments', model),
      bounds: [speed(6)],
    },
  ]),
  { what: 'convolutions of vae-f8, f32', counts: products('vae', 'f32'), bounds: [speed(0.75)] },
  { what: 'convolutions of vae-f8, fragments', counts: products('vae', 'f16'), bounds: [speed(14)] },
  {
    what: 'loads of products of DiT that are of neither operand',
    counts: (section, row) => products('dit', 'f32')(section, row) || products('dit', 'f16')(section, row),
    bounds: [BEYOND],
  },
  { what: 'all kernels of these tables', counts: () => true, bounds: [SPILLS] },
];

/** Of no bound: what the share leaves out. */
const BESIDE: readonly Must[] = [
  {
    what: 'f32 products of less than 1 % of an entry’s multiply-adds',
    counts: products('', 'f32', (share) => share < LEAST_SHARE),
    bounds: [FIGURE],
  },
  {
    what: 'f16 products of less than 1 % of an entry’s multiply-adds',
    counts: products('', 'f16', (share) => share < LEAST_SHARE),
    bounds: [FIGURE],
  },
];

/** The table as Markdown, of the worst rows. */
export function mustTable(sections: readonly Section[]): string[] {
  return [
    '| | must | worst | kernel | |',
    '| --- | --- | --: | --- | --- |',
    ...[...MUSTS, ...BESIDE].flatMap((must) => must.bounds.map((bound) => lineOf(sections, must, bound))),
  ];
}

function lineOf(sections: readonly Section[], { what, counts }: Must, bound: Bound): string {
  const found = sections.flatMap((section) =>
    section.rows.flatMap((row) => {
      const figure = counts(section, row) ? bound.of(row) : undefined;
      return figure === undefined ? [] : [{ figure, row, section }];
    }),
  );
  const { least = -Infinity, most = Infinity, unit } = bound;
  const isBound = least > -Infinity || most < Infinity;
  const must = isBound ? `${most < Infinity ? `≤ ${most}` : `≥ ${least}`} ${unit}` : unit;
  if (!found.length) return `| ${what} | ${must} | – | no such kernel | |`;
  const isWorse = (a: number, b: number) => (most < Infinity ? a > b : a < b);
  const worst = found.reduce((worst, one) => (isWorse(one.figure, worst.figure) ? one : worst));
  const { model, entry, dtype } = worst.section;
  const isMet = worst.figure >= least && worst.figure <= most;
  const verdict = isBound ? (isMet ? 'met' : 'not met') : '';
  return `| ${what} | ${must} | ${shown(worst.figure)} | ${worst.row.name}, ${model} ${entry} ${dtype} | ${verdict} |`;
}

const shown = (figure: number): string => (Number.isInteger(figure) ? String(figure) : figure.toFixed(2));
