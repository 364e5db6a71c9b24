#include "model/train/training_log.h"
