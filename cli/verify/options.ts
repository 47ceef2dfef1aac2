import type { Precision } from '../../compiler/pipeline.ts';
import type { Part } from '../../runtime/checkpoint/trained.ts';

/** The options of `ditc verify`. */
export interface VerifyOptions {
  readonly entry?: string;
  readonly batch?: number;
  readonly dtype?: Precision;
  readonly device?: string;
  readonly tuning?: string;
  readonly weights?: string;
  readonly part?: Part;
  /** Files by the name of the input. */
  readonly input?: ReadonlyMap<string, string>;
  readonly seed?: number;
  readonly kernel?: string;
  readonly all?: boolean;
  readonly tolerance?: number;
  readonly save?: string;
  readonly json?: boolean;
}

/** Folder for the first check that fails, unless told. */
export const SAVE_FOLDER = 'ditc-verify';
