"""DICOM: series of images in, segmentations in and out. Needs the extra `dicom`.

files         find the files of a folder and read them
header        what a file says of its frames, without their pixels
series        the series of a folder, and the segmentations of each
geometry      the order of slices and their affine
pixels        decode frames into values
pseudonyms    names that show nothing of a patient
labels        segmentations as labels of a series
segmentation  labels as a DICOM segmentation
codes         the coded concepts of a segmentation's classes
cases         series as the cases of an import
inputs        series as scans that are predicted
"""
