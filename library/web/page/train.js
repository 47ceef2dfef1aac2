/** The tab that trains: there where the build came with data. */
export const openTraining = async () => false;
