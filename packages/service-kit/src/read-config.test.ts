import { z } from 'zod';
import { ConfigError, baseConfig, describeConfig, readConfig } from './read-config.js';

const schema = baseConfig.extend({
  MILL_SIZE: z.coerce.number().int().describe('how big'),
  MILL_API_KEYS: z.string().min(8).optional().describe('who may call'),
});

describe('readConfig', () => {
  it('tells every problem at once, with the name, what was got and what was wanted', () => {
    const read = () => readConfig(schema, { MILL_DRAIN_MS: 'soon', MILL_LOG_LEVEL: 'loud', MILL_LISTEN: 'here' });
    expect(read).toThrow(ConfigError);
    expect(read).toThrow(/MILL_LISTEN is 'here': wanted host:port/);
    expect(read).toThrow(/MILL_DRAIN_MS is 'soon': .*number/);
    expect(read).toThrow(/MILL_LOG_LEVEL is 'loud': .*"debug"/);
    expect(read).toThrow(/MILL_SIZE is not set/);
  });

  it('shows no secret', () => {
    const read = () => readConfig(schema, { MILL_SIZE: '1', MILL_API_KEYS: 'hunter2' });
    expect(read).toThrow(/MILL_API_KEYS is not readable/);
    expect(read).not.toThrow(/hunter2/);
  });

  it('takes a variable that is set to nothing as not set', () =>
    expect(readConfig(schema, { MILL_SIZE: '1', MILL_DRAIN_MS: '' }).MILL_DRAIN_MS).toBe(10_000));

  it('gives what nobody can change any more', () =>
    expect(Object.isFrozen(readConfig(schema, { MILL_SIZE: '1' }))).toBe(true));

  it('gives each process a replica name of its own that fits a NATS key', () =>
    expect(readConfig(baseConfig, {}).MILL_REPLICA).toMatch(new RegExp(`^[a-zA-Z0-9_-]+-${process.pid}$`)));
});

describe('describeConfig', () => {
  it('tells name, default and meaning of every variable', () => {
    const rows = describeConfig(schema);
    expect(rows.map(({ name }) => name)).toEqual(Object.keys(schema.shape));
    expect(rows.filter(({ meaning }) => meaning === '')).toEqual([]);
    expect(rows.find(({ name }) => name === 'MILL_DRAIN_MS')?.default).toBe('10000');
    expect(rows.find(({ name }) => name === 'MILL_REPLICA')?.default).toBe('');
  });
});
