/** Options of commands that follow a model's process: how many steps, by which sampler, guided how. */
import type { Command } from 'commander';
import { realNumber, wholeNumber } from '../options.ts';
import { channels, shares } from './settings.ts';

/** Guidance beyond any use: what is drawn is white and black long before. */
const MOST_GUIDANCE = 100;
/** The longest process: what models are trained with. */
const MAX_STEPS = 1000;

export const processOptions = (command: Command, samplers: string, usual: string): Command =>
  command
    .option('--steps <n>', 'steps, 1 to 1000', wholeNumber('--steps', 1, MAX_STEPS))
    .option('--sampler [name]', `one that the model has; without a name: which these are. ${samplers}`)
    .option(
      '--cfg <scale>',
      `strength of classifier-free guidance: 1 is none, ${usual}, ${MOST_GUIDANCE} the most`,
      realNumber('--cfg', 0, MOST_GUIDANCE),
    )
    .option('--cfg-channels <n>', 'channels that are guided: the first 3 as the released code does, or all', channels)
    .option('--cfg-interval <from-to>', 'share of the process in which guidance acts, such as 0.1-0.8', shares);
