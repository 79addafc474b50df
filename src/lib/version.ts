/** The version of this program, from package.json and nowhere else. */
import packageJson from '../../package.json' with { type: 'json' };

export const programVersion: string = packageJson.version;
export const userAgent = `glance-image-operator/${programVersion}`;

/** The pages of this version. */
export const documentation = `https://github.com/glance-image-operator/glance-image-operator/blob/v${programVersion}/docs`;
