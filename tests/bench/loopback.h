/* What the programs that measure the kernel's floor share: a TCP connection to oneself, and a
 * process whose time is counted. */
#pragma once

/* Two connected TCP sockets on loopback: a socket pair of another kind would cost less. */
void loopback_pair(int ret_pair[2]);

/* Run `serve` on one end of such a pair in a process of its own and `drive` on the other in ours,
 * until drive returns. Gives the processor seconds of the serving process. */
double loopback_run(void (*serve)(void *context, int socket),
                    void (*drive)(void *context, int socket), void *context);
