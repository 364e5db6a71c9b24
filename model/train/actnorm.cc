#include "model/train/actnorm.h"
