/** The version of this program, from package.json and nowhere else. */
import packageJson from '../../package.json' with { type: 'json' };

export const version: string = packageJson.version;
export const userAgent = `glance-image-operator/${version}`;
