/**
 * The modelled cost of a dispatch: the time that its arithmetic, as its plan does it, or its memory traffic takes on the device,
 * whichever is longer (Williams, Waterman & Patterson 2009). It ranks kernels; it does not foretell milliseconds.
 */
import type { Dispatch } from '../emit/artefact.ts';

export interface Rates {
  readonly bandwidthGBs: number;
  readonly gflops: number;
  /** The device gives no rates of its own. */
  readonly nominal: boolean;
}

/** A mid-range desktop GPU of 2024: stands in for devices whose spec has no rates. */
const NOMINAL = { bandwidthGBs: 400, gflops: 20_000 };

export const ratesOf = ({ bandwidthGBs, gflops }: { bandwidthGBs?: number; gflops?: number } = {}): Rates =>
  bandwidthGBs && gflops ? { bandwidthGBs, gflops, nominal: false } : { ...NOMINAL, nominal: true };

type Work = Pick<Dispatch, 'macs' | 'plannedMacs' | 'bytesRead' | 'bytesWritten'>;

/** Seconds. A multiply-accumulate is two operations. */
export const modelledSeconds = (
  { macs, plannedMacs = macs, bytesRead, bytesWritten }: Work,
  { gflops, bandwidthGBs }: Rates,
): number => Math.max((2 * plannedMacs) / (gflops * 1e9), (bytesRead + bytesWritten) / (bandwidthGBs * 1e9));
