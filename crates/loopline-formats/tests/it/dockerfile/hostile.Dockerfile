#escape=`
#escape=x
FROM
   
CMD [ "a", [ ] ]
ENV a
ENV a=b c
LABEL "x
FOO bar
ONBUILD ONBUILD ONBUILD RUN x
HEALTHCHECK
HEALTHCHECK --interval=1 CMD
RUN `


`
COPY --from="a b" -- --x `
ADD <<"
B
CMD ["a"
EXPOSE
  USER

RUN <<A <<B
x
A
y
#