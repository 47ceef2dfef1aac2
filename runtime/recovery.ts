/** Work that outlives one loss of its device: the driver stopped a kernel, was updated or crashed. */

/** The runtime's error, or what someone made of it. */
export interface Loss extends Error {
  readonly what: string;
  readonly why?: string;
}

export const isLoss = (error: unknown): error is Loss =>
  error instanceof Error && 'code' in error && error.code === 'device-lost' && 'what' in error;

/** Where `work` loses its device, `resume` does the rest on another. A second loss is one too many: then it is the work. */
export async function throughLoss<T>(work: () => Promise<T>, resume: (lost: Loss) => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isLoss(error)) throw error;
    return resume(error);
  }
}

/** For people: what happened, and where the work goes on `from`. */
export function lossText({ what, why }: Loss, from: string): string {
  const reason = why ? ` (${why.split('\n')[0]})` : '';
  return `${what}${reason}: it is opened anew, ${from}`;
}
