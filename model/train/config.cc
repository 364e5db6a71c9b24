#include "model/train/config.h"
