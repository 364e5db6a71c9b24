#include "model/train/progress.h"
