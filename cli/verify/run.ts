/** The whole of `ditc verify` once the model is compiled: weights, inputs, the checks, and what is kept of them. */
import type { Manifest } from '../../compiler/emit/artefact.ts';
import type { DitcError } from '../../compiler/ir/error.ts';
import type { NpyArray } from '../../runtime/checkpoint/npy.ts';
import type { TensorFile } from '../../runtime/checkpoint/source.ts';
import type { OpenDevice } from '../../runtime/device.ts';
import type { Values } from '../../runtime/transfer.ts';
import { UsageError } from '../errors.ts';
import { startProgram } from '../gpu.ts';
import type { Compiled } from '../model.ts';
import { inputValues, readNpy } from '../npy.ts';
import { startProgress } from '../progress.ts';
import type { Terminal } from '../terminal.ts';
import { checkKernels, jobsOf, type CheckOptions } from './check.ts';
import { SAVE_FOLDER, type VerifyOptions } from './options.ts';
import { differenceError, rerunCommand, verdictOf, type Verdict } from './report.ts';
import { checkSaveFolder, saveCheck } from './save.ts';
import { fillConstants } from './values.ts';

export interface Setup {
  /** The model file, for the command that checks a kernel again. */
  readonly path: string;
  readonly options: VerifyOptions;
  /** The arrays of `options.input`. */
  readonly given: ReadonlyMap<string, GivenArray>;
  /** The file of `options.weights`. */
  readonly weights?: TensorFile;
}

interface GivenArray {
  readonly file: string;
  readonly array: NpyArray;
}

export async function readInputs(files: ReadonlyMap<string, string> = new Map()): Promise<Map<string, GivenArray>> {
  const arrays = new Map<string, GivenArray>();
  for (const [name, file] of files) arrays.set(name, { file, array: await readNpy(file, name) });
  return arrays;
}

export interface Verified {
  readonly verdicts: readonly Verdict[];
  /** The first kernel that differs. */
  readonly failure?: DitcError;
}

/** Runs the checks; the first that fails is saved. */
export async function verifyCompiled(
  { artefact, entries }: Pick<Compiled, 'artefact' | 'entries'>,
  open: OpenDevice,
  { path, options, given, weights }: Setup,
  terminal: Terminal,
): Promise<Verified> {
  const jobs = jobsOf(artefact, entries, options);
  if (options.kernel !== undefined && !jobs.length) {
    const fix = `use one of ${Object.keys(artefact.manifest.kernels).join(', ')}`;
    throw new UsageError({ what: `--kernel: there is no kernel ${options.kernel}`, fix });
  }
  const inputs = inputsOf(artefact.manifest, given, options.batch ?? 1);
  const { seed = 0, tolerance, save = SAVE_FOLDER } = options;
  checkSaveFolder(save, new Set(jobs.map(({ dispatch }) => dispatch.kernel)));
  const names = entries.map(({ name }) => name);
  const program = await startProgram(
    open,
    { artefact, entries: names, weights, seed, part: options.part, nonFinite: 'note' },
    terminal,
  );
  const bar = startProgress(terminal, 'checking', 1, 'dispatches');
  try {
    await fillConstants(program, seed, { params: !weights });
    const onProgress: CheckOptions['onProgress'] = ({ done, total, kernel }) => {
      bar.update(done, total);
      bar.note(kernel);
    };
    const verdicts: Verdict[] = [];
    let saved: string | undefined;
    for await (const check of checkKernels(program, entries, jobs, { seed, inputs, tolerance, onProgress })) {
      if (!check.agrees) saved ??= saveCheck(save, check, artefact);
      verdicts.push(verdictOf(check));
    }
    const first = verdicts.find((v) => !v.agrees);
    const failure = first && differenceError(verdicts, saved!, rerunCommand(path, options, first));
    return { verdicts, failure };
  } finally {
    bar.stop();
    program.close();
  }
}

/** The given arrays as values of the inputs, by name. @throws DitcError `input`; UsageError for an input that no entry has. */
function inputsOf({ entries }: Manifest, given: Setup['given'], batch: number): Map<string, Values> {
  const specs = Object.values(entries).flatMap((entry) => entry.inputs);
  const known = [...new Set(specs.map(({ name }) => name))];
  const unknown = [...given.keys()].filter((name) => !known.includes(name));
  if (unknown.length) {
    const fix = known.length ? `give one of ${known.join(', ')}` : 'leave it out: there are no inputs';
    throw new UsageError({ what: `--input: there is no input ${unknown.join(', ')}`, fix });
  }
  return new Map(
    specs.flatMap((spec) => {
      const found = given.get(spec.name);
      return found ? [[spec.name, inputValues(spec, found.array, found.file, batch)] as const] : [];
    }),
  );
}
