using System.Diagnostics;

namespace Aspire.Hosting.Embedded;

/// <summary>How processes are started: never through a shell, and in a session of their own.</summary>
internal static class ProcessStart
{
    /// <summary>
    /// A child in our process group would get the terminal's Ctrl-C together with us and stop in no order. setsid(1) is part of
    /// every Linux; perl, part of macOS, does the same there.
    /// </summary>
    public static ProcessStartInfo InOwnSession(IReadOnlyList<string> command)
    {
        if (OperatingSystem.IsWindows())
            return Plain(command);
        if (Unix.Find("setsid") is { } setsid)
            return Plain([setsid, .. command]);
        return Unix.Find("perl") is { } perl
            ? Plain([perl, "-e", "use POSIX; POSIX::setsid(); exec @ARGV or die $!", "--", .. command])
            : Plain(command);
    }

    public static ProcessStartInfo Plain(IReadOnlyList<string> command)
    {
        var start = new ProcessStartInfo(command[0]) { UseShellExecute = false };
        foreach (var argument in command.Skip(1))
            start.ArgumentList.Add(argument);
        return start;
    }

    /// <summary>Runs a command to its end and returns what it wrote.</summary>
    public static async Task<(int ExitCode, string Output)> RunAsync(
        IReadOnlyList<string> command, string? workingDirectory = null, string? input = null, CancellationToken cancellationToken = default)
    {
        var start = Plain(command);
        start.WorkingDirectory = workingDirectory ?? "/";
        start.RedirectStandardOutput = start.RedirectStandardError = start.RedirectStandardInput = true;
        using var process = Process.Start(start) ?? throw new InvalidOperationException($"{command[0]} did not start.");
        var output = process.StandardOutput.ReadToEndAsync(cancellationToken);
        var error = process.StandardError.ReadToEndAsync(cancellationToken);
        await process.StandardInput.WriteAsync(input.AsMemory(), cancellationToken);
        process.StandardInput.Close();
        await process.WaitForExitAsync(cancellationToken);
        return (process.ExitCode, await output + await error);
    }
}
