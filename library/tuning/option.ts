/** `--tuning`, of commands that compile. */

/** The folder of tables, and what `--tuning` takes for none. */
export const FOLDER = 'tuning';
export const OFF = 'off';

/** For `--tuning`. */
export const TUNING = [
  '--tuning <file>',
  `a table of ditc tune, or ${OFF} (default: one of this device and driver in the folder ${FOLDER} beside the model)`,
] as const;
