# cmake -DSOURCE= -DRESULT= -DPATTERN= -DREPLACEMENT= -P mutate.cmake: a copy of a source file that is
# broken in one place. Fails where the pattern does not stand there exactly once: then the source has
# changed, and the mutation (sim.cmake) has to follow.
file(READ ${SOURCE} text)
string(REPLACE "${PATTERN}" "" without "${text}")
string(LENGTH "${text}" before)
string(LENGTH "${without}" after)
string(LENGTH "${PATTERN}" size)
math(EXPR cut "${before} - ${after}")
if(NOT cut EQUAL size)
  message(FATAL_ERROR "${SOURCE} does not hold \"${PATTERN}\" exactly once")
endif()
string(REPLACE "${PATTERN}" "${REPLACEMENT}" broken "${text}")
file(WRITE ${RESULT} "${broken}")
