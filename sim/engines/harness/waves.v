// Second top for Icarus: dumps TOP from time +first to +last (in ns).
module elstm_waves;
    reg [8*1024-1:0] path;
    time first, last;

    initial if ($value$plusargs("wave=%s", path) && $value$plusargs("first=%d", first) && $value$plusargs("last=%d", last)) begin
        $dumpfile(path);
        #(first) $dumpvars(0, `TOP);
        #(last - first) $dumpoff;
    end
endmodule
