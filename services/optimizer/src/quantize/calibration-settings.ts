import { range, word } from '../field-checks.js';
import { cpus } from './int8-cpu.js';
import type { Cpu } from './int8-cpu.js';
import { calibrationMethods } from './quantization-ranges.js';
import type { CalibrationMethod } from './quantization-ranges.js';

/** What passes with activations in eight bits are told. */
export interface CalibrationSettings {
  readonly samples: number;
  readonly calibration: CalibrationMethod;
  readonly cpu: Cpu;
}

interface CalibrationFields {
  readonly calibrationSamples: number;
  readonly calibration: string;
  readonly cpu: string;
}

export const planCalibration = (fields: CalibrationFields, at: string): CalibrationSettings => ({
  samples: range(fields.calibrationSamples || 256, 1, 1_000_000, `${at}.calibration_samples`),
  calibration: word(fields.calibration || 'minmax', calibrationMethods, `${at}.calibration`),
  cpu: word(fields.cpu || 'here', cpus, `${at}.cpu`),
});
