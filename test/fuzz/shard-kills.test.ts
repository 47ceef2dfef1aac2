/**
 * A few of the kills of shard-kills.ts; with DITC_SLOW=1 twenty.
 * @once
 */
import { expect, it } from 'vitest';
import { shardKills, type Kill } from './shard-kills.ts';

const COUNT = process.env.DITC_SLOW === '1' ? 20 : 6;

it('a part that is killed again and again repeats and skips nothing, and comes out the same', async () => {
  const kills: Kill[] = [];
  await shardKills(COUNT, 1, (kill) => void kills.push(kill));
  expect(kills.filter(({ wrong }) => wrong)).toEqual([]);
  expect(kills).toHaveLength(COUNT);
  // Kills that all come before the first picture would show little.
  expect(new Set(kills.map(({ pictures }) => pictures)).size).toBeGreaterThan(COUNT / 3);
}, 1_200_000);
