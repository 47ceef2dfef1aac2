import { expect, it } from 'vitest';
import { shardKills, type Kill } from './shard-kills.ts';

it('a part that is killed 20 times repeats and skips nothing, and comes out the same', async () => {
  const kills: Kill[] = [];
  await shardKills(20, 1, (kill) => void kills.push(kill));
  expect(kills.filter(({ wrong }) => wrong)).toEqual([]);
  expect(kills).toHaveLength(20);
  // Kills that all come before the first picture would show little.
  expect(new Set(kills.map(({ pictures }) => pictures)).size).toBeGreaterThan(5);
}, 600_000);
