/** A training as it was asked for, and as it is once all of that has been checked. */
import type { Artefact } from '../../compiler/emit/artefact.ts';
import type { EntryInput } from '../../compiler/emit/build.ts';
import type { TensorFile } from '../../runtime/checkpoint/source.ts';
import type { Dataset, OnBad } from '../../runtime/data/dataset.ts';
import type { Program } from '../../runtime/program.ts';
import type { LoadedModel } from '../model.ts';
import type { Terminal } from '../terminal.ts';
import type { TrainingFolder } from './folder.ts';
import type { OpenPreview, Preview } from './drawing.ts';
import type { PreviewRequest } from './preview.ts';
import type { Checkpoint } from './resume.ts';
import type { GivenSettings, Settings } from './settings.ts';
import type { Part } from '../../runtime/checkpoint/trained.ts';
import type { OnMismatch } from '../../runtime/weights.ts';

export interface TrainRequest {
  readonly data: string;
  /** Files of what the model is told of each example, by the input's name. */
  readonly inputs: ReadonlyMap<string, string>;
  readonly steps: number;
  readonly out: string;
  readonly given: GivenSettings;
  /** A checkpoint to go on from, or `latest`. */
  readonly resume?: string;
  /** Weights to begin with. */
  readonly weights?: string;
  readonly part?: Part;
  /** What to do with weights that do not fit the model. */
  readonly onMismatch?: OnMismatch;
  readonly onBad: OnBad;
  /** Of latents that are drawn from moments; the data says it unless given. */
  readonly latentScale?: number;
  readonly logEvery: number;
  readonly checkpointEvery: number;
  readonly preview: PreviewRequest;
  /** Other data to measure the loss on, and every so many steps. */
  readonly valData?: string;
  readonly valEvery: number;
  readonly keep: number;
  readonly weightsDtype: 'f32' | 'f16';
  /** Bytes on the device that may be used. */
  readonly memory?: number;
  /** A tuning table, or `off`. */
  readonly tuning?: string;
}

export interface TrainResult {
  readonly step: number;
  /** Steps taken now. */
  readonly taken: number;
  readonly finished: boolean;
  /** It was finished already: nothing was computed. */
  readonly before?: true;
  readonly loss: number | null;
  readonly imagesPerSecond: number | null;
  readonly checkpoint?: string;
  readonly weights?: string;
  /** Undefined where none was needed. */
  readonly adapter?: string;
}

/** Everything that is known before a device is opened. */
export interface Job {
  readonly request: TrainRequest;
  readonly loaded: LoadedModel;
  readonly folder: TrainingFolder;
  readonly settings: Settings;
  readonly data: Dataset;
  /** What the loss is measured on, and not trained on. */
  readonly held?: Dataset;
  readonly preview?: Preview;
  readonly checkpoint?: Checkpoint;
  readonly weights?: TensorFile;
  readonly terminal: Terminal;
}

/** What a training runs on. */
export interface Running {
  readonly program: Program;
  readonly compiled: {
    readonly artefact: Artefact;
    /** Its entries as they went to emission, compiled once more. */
    entries(): readonly EntryInput[];
  };
  readonly preview?: OpenPreview;
  readonly stop: AbortSignal;
}
