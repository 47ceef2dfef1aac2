/** What a test ran on a device and how far that was off, told to whoever writes it down (`npm run lab -- executed`). */
import { getCurrentTest } from 'vitest/suite';
import type { Artefact } from '../../compiler/emit/artefact.ts';
import { relativeError } from './relative-error.ts';

export interface Executed {
  /** The device as its driver describes it. */
  readonly device: string;
  /** Of the kernels that ran, each once. */
  readonly families: readonly string[];
  /** The largest, and what it must stay below; a bound of 0 is one to the bit. */
  readonly error: number;
  readonly bound: number;
}

declare module 'vitest' {
  interface TaskMeta {
    executed?: Executed;
  }
}

export const familiesOf = ({ manifest: { kernels } }: Artefact): string[] =>
  Object.values(kernels).map(({ plan }) => String(plan.family));

type Values = Readonly<Record<string, ArrayLike<number>>>;

/** Adds to what the test that runs has told before: values that it got, and what they should be. */
export function tell(
  { device, families, bound }: Omit<Executed, 'error'>,
  got: Values,
  want: Readonly<Record<string, { readonly data: ArrayLike<number> }>>,
): void {
  const { meta } = getCurrentTest()!;
  const errors = Object.entries(want).map(([name, { data }]) => relativeError(got[name], data));
  meta.executed = {
    ...{ device, bound },
    families: [...new Set([...(meta.executed?.families ?? []), ...families])].sort(),
    error: Math.max(meta.executed?.error ?? 0, ...errors),
  };
}
