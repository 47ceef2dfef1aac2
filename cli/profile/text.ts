/** A profile for people. */
import type { Rates } from '../../compiler/report/roofline.ts';
import type { Terminal } from '../terminal.ts';
import { cut, plural, table } from '../text.ts';
import type { EntryProfile, KernelTime } from './kernels.ts';

/** Width of the whole table. */
const WIDTH = 130;

const number = (x: number): string => (x >= 99.95 ? x.toFixed(0) : x >= 0.001 ? x.toPrecision(3) : x ? '<0.001' : '');
const percent = (x: number): string => `${(100 * x).toFixed(1)} %`;

/** One entry: a line on the run, the kernels, and what to think of it. */
export function profileText(
  title: string,
  profile: EntryProfile,
  hasRoofline: boolean,
  { outColors: c }: Pick<Terminal, 'outColors'>,
): string {
  const { run, hostMs, kernelsMs, kernels, rounds } = profile;
  const summary = [
    `a run ${number(run.median)} ms (${number(run.min)} to ${number(run.max)} in ${rounds})`,
    `kernels ${number(kernelsMs)} ms`,
    `CPU ${number(hostMs)} ms`,
  ];
  const head = ['kernel', 'uses', 'ms', 'share', 'GFLOP/s', 'GB/s', hasRoofline ? 'roofline' : '', 'source', 'plan'];
  const cells = kernels.map((kernel) => rowOf(kernel));
  const [first, ...rest] = table([head, ...cells], new Set([1, 2, 3, 4, 5, 6])).map((line) => `  ${cut(line, WIDTH)}`);
  return [`${c.bold(title)}  ${summary.join(' · ')}`, c.dim(first), ...rest, ...remarks(profile)].join('\n');
}

const rowOf = ({ kernel, uses, ms, share, gflops, gigabytesPerSecond, ofRoofline, source, plan }: KernelTime) => [
  kernel,
  uses > 1 ? `×${uses}` : '',
  number(ms),
  percent(share),
  number(gflops),
  number(gigabytesPerSecond),
  ofRoofline === undefined ? '' : percent(ofRoofline),
  source?.replace(/:\d+$/, '') ?? '',
  plan,
];

function remarks({ perturbed, kernelsMs, run, method }: EntryProfile): string[] {
  const lines: string[] = [];
  if (method === 'submits')
    lines.push(
      'the adapter has no timestamps (feature timestamp-query): each kernel was submitted by itself, some times in a row, and timed by the wall clock',
    );
  if (perturbed)
    lines.push(
      `measuring perturbs: one by one the kernels take ${number(kernelsMs)} ms, a run that nothing measures ${number(run.median)} ms: compare kernels by this table, not runs`,
    );
  else if (run.median > kernelsMs)
    lines.push(
      `${number(run.median - kernelsMs)} ms of a run (${percent(1 - kernelsMs / run.median)}) are between the kernels: the CPU's part, the driver's, waiting`,
    );
  return lines.map((line) => `  ${line}`);
}

/** What the last lines say: the device, and where its rates come from. */
export const footText = (adapter: string, rates: Rates, entries: number): string =>
  rates.nominal
    ? `${adapter}: its rates are not known, so there is no share of a roofline (a spec with bandwidthGBs and gflops has them)`
    : `${adapter}: the roofline of ${plural(entries, 'entry', 'entries')} is that of ${rates.gflops} GFLOP/s and ${rates.bandwidthGBs} GB/s`;
