"""Building an age-specific atlas from a cohort: the two steps of the lifespan atlas.

Within each age group all people are registered to one another until an average is found that
has the mean shape and size of the group (`groupwise`, `pairwise`, `shape`, `average`). The
averages of the groups are then registered to one another in the same way, which gives a space
that all ages share (`common_space`). Labels are carried into it from another atlas or drawn on
it (`parcellation`), and everything is written as an atlas folder (`writing`).

References
----------
Zhang Y, Wei H, Cronin MJ, et al. Longitudinal atlas for normative human brain development
and aging over the lifespan using quantitative susceptibility mapping. NeuroImage
2018;171:176-189.
Avants BB, Yushkevich P, Pluta J, et al. The optimal template effect in hippocampus studies of
diseased populations. NeuroImage 2010;49:2457-2466.
https://doi.org/10.1016/j.neuroimage.2009.09.062
"""

VERSION = '1'  # goes up with every change of the steps: kept results of another are not used
