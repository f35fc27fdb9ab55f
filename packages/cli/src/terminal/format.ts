const digits = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

/** 12345.6 → 12,346. */
export const count = (value: number | bigint) => digits.format(value);

/** Decimal units: 3,412 B, 45.1 kB, 1.2 MB. */
export function bytes(value: number | bigint): string {
  let left = Number(value);
  for (const unit of ['B', 'kB', 'MB', 'GB']) {
    if (left < 1000 || unit === 'GB') return unit === 'B' ? `${count(left)} B` : `${left.toFixed(1)} ${unit}`;
    left /= 1000;
  }
  return `${left}`;
}

/** Seconds as m:ss or h:mm:ss. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (value: number) => String(value).padStart(2, '0');
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/** 3.2 s, or 1:05 min. */
export const duration = (seconds: number) => (seconds < 60 ? `${seconds.toFixed(1)} s` : `${clock(seconds)} min`);

/** How long ago, in one unit: 12 s, 5 min, 3 h, 2 d. */
export function age(since: Date | undefined, now: Date): string {
  if (!since) return '';
  const seconds = Math.max(0, (now.getTime() - since.getTime()) / 1000);
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

export const percent = (share: number) => `${Math.floor(share * 100 + 1e-9)} %`;

/** A figure with as many decimals as it is worth, or nothing where it was not measured. */
export const figure = (value: number | undefined, decimals: number) =>
  value === undefined || Number.isNaN(value) ? undefined : value.toFixed(decimals);
