# escape = `
FROM mcr.microsoft.com/windows/nanoserver:ltsc2022 AS win
SHELL ["powershell", "-Command"]
RUN dir `
    C:\ ; `
  # between
    exit
WORKDIR C:\app\bin
COPY a.txt C:\
ENV a=`"b` c
RUN <<END
write-host hi
END
CMD ["cmd", "/c", "dir"]