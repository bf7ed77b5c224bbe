/* A fixture's files on a disk that forgets what was not synced (tests/fake/forgetful_disk.h) and
 * goes dark with a call to come: from then on every call fails that would change something. */
#pragma once

#include "log_fixture.h"
#include "tests/fake/forgetful_disk.h"

/* The call that is so many away is the last; 0: it is dark now; negative: the light stays on. */
extern _Atomic int dark_disk_calls_left;

/* Everything that is there now is stable, and the light stays on. */
void dark_disk_begin(struct fixture *f);
/* The system's own disk again. */
void dark_disk_end(void);
