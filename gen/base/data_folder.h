/* data_folder: where lua/, templates/ and runtime/ are: PIPEWRIGHT_DATADIR, else the folder that
 * the build named (the source tree, or the installed share/pipewright). */
#ifndef PIPEWRIGHT_DATA_FOLDER_H
#define PIPEWRIGHT_DATA_FOLDER_H

const char *data_folder(void);

#endif
