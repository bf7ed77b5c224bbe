/* enum api_key: the numbers of the APIs, made from the schemas. */
#pragma once

#include "wire/api_key.h"
