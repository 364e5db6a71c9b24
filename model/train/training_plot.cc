#include "model/train/training_plot.h"
