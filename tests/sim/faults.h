/* What happens to the cluster besides its own work, drawn from the seed: brokers crash, pause and
 * return, sessions expire, connections break, operations of ZooKeeper are lost; topics are made,
 * grown, moved and deleted, leaders elected, brokers shut down in order. */
#pragma once

#include "tests/sim/cluster.h"

struct faults;

struct faults *faults_new(struct cluster *cluster, bool has_power_cuts);
void faults_free(struct faults *faults);

/* One of them, by chance. */
void faults_strike(struct faults *faults);
/* Everybody comes back, and nothing is lost any more. */
void faults_end(struct faults *faults);
