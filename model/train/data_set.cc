#include "model/train/data_set.h"
